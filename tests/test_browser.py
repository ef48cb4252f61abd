"""Notebooks in JupyterLab in a real browser: they run, a widget is moved, the figure beside it
changes, the console is clean."""

import os
import re
import shutil
import subprocess
import sys
import time

import nbformat
import papermill
import pytest

from corelib.course.execute import list_notebooks, notebooks_folder
from corelib.course.lab import OPTIONS
from tests.needed_cells import joined, with_needed_cells
from tests.smoke_course import plan_notebook

webdriver = pytest.importorskip(
    "selenium.webdriver", reason="selenium is not installed: pip install selenium"
)
By, Keys = (
    pytest.importorskip(f"selenium.webdriver.common.{name.lower()}").__dict__[name]
    for name in ("By", "Keys")
)

PATIENCE = 180  # seconds until something counts as not happening
MENU_BAR = "//div[contains(@class,'lm-MenuBar-itemLabel')"
MENU = "//div[contains(@class,'lm-Menu-itemLabel')"
KERNEL = (
    "return document.querySelector('.jp-NotebookPanel"
    " .jp-Notebook-ExecutionIndicator')?.dataset.status"
)
SETTINGS = {
    "notebook-extension/tracker": (
        '{"windowingMode": "none"}'
    )  # every cell stays on the page, in sight or not
}
# code cells that have not run, or run still (a folded one, the parameters', shows no number)
PENDING = """return [...document.querySelectorAll('.jp-Notebook .jp-CodeCell .jp-InputArea-prompt')]
    .filter(prompt => !/\\d/.test(prompt.textContent)).length"""


def find(*names):
    return next(filter(None, map(shutil.which, names)), None)


def wait_for(condition, what):
    """The condition's first true value; fails with `what` when it does not come."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        if value := condition():
            return value
        time.sleep(0.5)
    pytest.fail(f"waited {PATIENCE} s in vain: {what}")


def accept(browser):
    """Accept what JupyterLab may ask in a dialogue (which kernel?); says whether it asked."""
    buttons = browser.find_elements(By.CSS_SELECTOR, ".jp-Dialog button.jp-mod-accept")
    return bool([button.click() for button in buttons[:1]])


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """Headless Chromium; what its console says is kept."""
    chromium, driver = find("chromium", "chromium-browser", "google-chrome"), find("chromedriver")
    if not (chromium and driver):
        pytest.skip(
            "no browser here: install chromium and its chromedriver (Debian: apt install chromium"
            " chromium-driver)"
        )
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    profile = tmp_path_factory.mktemp("browser")
    for argument in (
        "headless=new",
        "no-sandbox",
        "disable-gpu",
        "disable-dev-shm-usage",
        "no-first-run",
        "disable-sync",
        "disable-background-networking",
        "window-size=1400,2400",
        f"user-data-dir={profile}",
    ):
        options.add_argument(f"--{argument}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    running = webdriver.Chrome(service=webdriver.ChromeService(driver), options=options)
    yield running
    running.quit()


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """JupyterLab over a folder of its own: (the folder, the address with %s for a notebook)."""
    folder = tmp_path_factory.mktemp("lab")
    log = folder / "jupyterlab.log"
    for name, value in SETTINGS.items():
        path = folder / ".settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True)
        path.write_text(value)
    command = [
        sys.executable,
        "-m",
        "jupyterlab",
        "--no-browser",
        "--allow-root",
        *OPTIONS,
        "--port=0",
        "--IdentityProvider.token=t",
        f"--ServerApp.root_dir={folder}",
    ]
    settings = {
        "JUPYTER_CONFIG_DIR": str(folder / ".config"),
        "JUPYTERLAB_SETTINGS_DIR": str(folder / ".settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(folder / ".workspaces"),
    }
    with log.open("w") as written:
        server = subprocess.Popen(
            command, cwd=folder, env=os.environ | settings, stdout=written, stderr=subprocess.STDOUT
        )
    try:
        address = wait_for(
            lambda: re.search(r"http://127\.0\.0\.1:\d+/lab", log.read_text()),
            f"JupyterLab, see {log}",
        )
        yield folder, address[0] + "/tree/%s?token=t&reset"
    finally:
        server.terminate()
        server.wait()


@pytest.fixture(autouse=True)
def clean_console(browser):
    """The browser's console has nothing to complain of when a test ends."""
    yield
    complaints = [
        entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"
    ]
    assert complaints == []


def open_notebook(browser, lab, kit, name, notebook):
    """Open a notebook in JupyterLab with what that one of the course is given at the smoke profile,
    and run it to its end."""
    folder, address = lab
    pictures_of_the_course = notebooks_folder() / "pictures"
    shutil.copytree(pictures_of_the_course, folder / "pictures", dirs_exist_ok=True)
    copy = folder / f"{name}.ipynb"
    nbformat.write(notebook, copy)
    papermill.execute_notebook(
        copy, copy, parameters=plan_notebook(kit, name), prepare_only=True, progress_bar=False
    )
    browser.get(address % f"{name}.ipynb")
    wait_for(
        lambda: browser.find_elements(By.CSS_SELECTOR, ".jp-Notebook .jp-CodeCell"),
        "the notebook's cells",
    )
    time.sleep(5)  # a dialogue may come late; without a kernel, "Run All" would only ask for one
    wait_for(
        lambda: not accept(browser) and browser.execute_script(KERNEL) == "idle",
        "a kernel that is ready",
    )
    browser.find_element(By.XPATH, f"{MENU_BAR} and text()='Run']").click()
    wait_for(
        lambda: browser.find_elements(By.XPATH, f"{MENU} and starts-with(text(),'Run All Cells')]"),
        "the menu",
    )[0].click()
    wait_for(
        lambda: not accept(browser) and browser.execute_script(PENDING) == 0, f"the end of {name}"
    )
    errors = browser.find_elements(
        By.CSS_SELECTOR, "[data-mime-type='application/vnd.jupyter.error']"
    )
    assert [error.text for error in errors] == []


def test_a_notebook_opens_without_news_and_is_not_unsaved(browser, lab):
    folder, address = lab
    shutil.copytree(notebooks_folder() / "pictures", folder / "pictures", dirs_exist_ok=True)
    shutil.copy(list_notebooks(notebooks_folder())["00_start_here"], folder / "untouched.ipynb")
    browser.get(address % "untouched.ipynb")
    wait_for(lambda: browser.execute_script(KERNEL) == "idle", "a kernel that is ready")
    time.sleep(5)  # the news come late
    tab = browser.find_element(By.CSS_SELECTOR, ".lm-DockPanel-tabBar .lm-TabBar-tab")
    assert "untouched" in tab.text and "jp-mod-dirty" not in tab.get_attribute("class")
    assert browser.find_elements(By.CSS_SELECTOR, ".Toastify__toast, .jp-Dialog") == []


def read(name):
    return nbformat.read(list_notebooks(notebooks_folder())[name], as_version=4)


SLIDERS = [  # the notebook, its widget, and the key that moves a slider of the widget
    ("06_tree", "intervals_by_depth", "depth", "RIGHT"),
    ("07_train", "exemplar_bench", "exemplars", "LEFT"),
    ("08b_why_this_score", "scrub_attribution", "frame", "LEFT"),
]


@pytest.fixture(scope="module")
def sliders(browser, lab, smoke_kit):
    """The browser with the three widgets, and the cells that they need, in one notebook."""
    parts = [with_needed_cells(read(name), f"{widget}(") for name, widget, *_ in SLIDERS]
    open_notebook(browser, lab, smoke_kit, "08b_why_this_score", joined(parts))
    return browser


def move(browser, description, key, times=1):
    """Press a key on the slider with this description."""
    handle = browser.find_element(
        By.XPATH,
        f"//div[contains(@class,'widget-slider')][.//label[text()='{description}']]"
        "//div[contains(@class,'noUi-handle')]",
    )
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", handle)
    handle.click()
    for _ in range(times):
        handle.send_keys(key)


def pictures(browser, description):
    """What a widget shows as images, in order: the one whose slider has this description."""
    output = f"//div[contains(@class,'jp-OutputArea-output')][.//label[text()='{description}']]"
    images = browser.find_elements(By.XPATH, f"{output}//img[contains(@class,'widget-image')]")
    return [image.get_attribute("src") for image in images]


def test_be_the_judge_answers_a_mark_with_the_panels_and_a_new_figure(browser, lab, smoke_kit):
    open_notebook(browser, lab, smoke_kit, "00_start_here", read("00_start_here"))
    wait_for(lambda: len(pictures(browser, "your mark")) == 2, "the widget's film strip and figure")
    before = pictures(browser, "your mark")
    move(browser, "your mark", Keys.ARROW_RIGHT, 3)
    browser.find_element(By.XPATH, "//button[text()='Give mark']").click()
    said = wait_for(
        lambda: [
            box.text
            for box in browser.find_elements(By.CSS_SELECTOR, ".widget-html")
            if "the panel" in box.text
        ],
        "the panel's marks",
    )
    assert "You gave 6.5" in said[0]
    wait_for(lambda: pictures(browser, "your mark") != before, "another figure")
    assert browser.find_element(By.XPATH, "//button[text()='Next dive']").is_enabled()


@pytest.mark.parametrize(("name", "widget", "slider", "key"), SLIDERS)
def test_a_slider_that_is_moved_changes_the_figure_beside_it(sliders, name, widget, slider, key):
    before = wait_for(lambda: pictures(sliders, slider), "the widget's figures")
    move(sliders, slider, Keys.__dict__[f"ARROW_{key}"])
    wait_for(lambda: pictures(sliders, slider) != before, "another figure")
