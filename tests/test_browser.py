"""In a real browser: notebooks in JupyterLab run, a widget is moved, the figure beside it changes;
the pages of the site can be read at any width and in both colour schemes; the console is clean."""

import importlib.resources
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import papermill
import pytest

from corelib.course.execute import list_notebooks, notebooks_folder
from corelib.course.lab import OPTIONS
from corelib.course.site import write_site
from corelib.figures.states import Pictured
from tests.course.test_site import NAMES, course
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


@pytest.fixture(scope="module")
def site(course_made, tmp_path_factory):
    """The site of the course that test_notebooks.py executed, or else of a small failed run and of
    docs/."""
    if course_made.exists():
        return Path(course_made.read_text(encoding="utf-8")) / "course"
    run, source = course(tmp_path_factory.mktemp("site"), failed=True)
    shutil.copytree(notebooks_folder().parent / "docs", source.parent / "docs", dirs_exist_ok=True)
    return write_site(run, source=source, names=NAMES).parent


AXE = """const done = arguments[0];
axe.run({preload: false}).then(found => done(found.violations
    .filter(rule => ["serious", "critical"].includes(rule.impact))
    .map(rule => [rule.id, ...rule.nodes.slice(0, 3).map(node => node.html.slice(0, 200))])));"""
LOOKS = [(1280, "light"), (375, "dark"), (1280, "dark"), (375, "light")]


@pytest.fixture
def look(browser):
    """look(width, scheme): how wide the browser's window is, and which colours its user prefers."""

    def set_look(width, scheme):
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        wishes = {"prefers-color-scheme": scheme, "prefers-reduced-motion": "reduce"}
        features = [{"name": name, "value": value} for name, value in wishes.items()]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    yield set_look
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_every_page_fits_its_width_and_axe_finds_nothing_serious(browser, site, look):
    resource = importlib.resources.files("axe_playwright_python") / "axe.min.js"
    axe = resource.read_text(encoding="utf-8")
    browser.set_script_timeout(PATIENCE)
    pages = [path for path in sorted(site.rglob("*.html")) if "_static" not in path.parts]
    assert len(pages) >= len(NAMES) + 10
    for number, page in enumerate(pages):
        # axe takes seconds: the start page in every look, the others in one after the other
        looked = LOOKS if page.name == "index.html" else [LOOKS[number % 4]]
        for width, scheme in [*looked, (375, "dark"), (1280, "light")]:
            look(width, scheme)
            browser.get(page.as_uri())
            where = f"{page.relative_to(site)} at {width} pixels, {scheme}"
            shown = browser.execute_script(
                "return [document.documentElement.dataset.theme,"
                " document.documentElement.scrollWidth <= window.innerWidth]"
            )
            assert shown == [scheme, True], where
            if (width, scheme) in looked:
                browser.execute_script(axe)
                assert browser.execute_async_script(AXE) == [], where
                looked = [other for other in looked if other != (width, scheme)]


def test_the_search_finds_without_a_server(browser, site, look):
    look(1280, "light")
    browser.get((site / "search.html").as_uri() + "?q=videos")
    found = "#search-results li a[href*='docs/']"  # one result after the other appears
    assert wait_for(lambda: browser.find_elements(By.CSS_SELECTOR, found), "what was found")


def test_a_widgets_slider_of_pictures_shows_another_one(browser, look, tmp_path):
    states = [(f"depth = {depth}", f"{depth} <b>levels</b>", []) for depth in (3, 4, 5)]
    box = Pictured([], lambda: states)
    page = tmp_path / "page.html"
    page.write_text(box._repr_mimebundle_()["text/html"])
    look(375, "light")
    browser.get(page.as_uri())
    slides = browser.find_elements(By.CSS_SELECTOR, ".states > div")
    assert [slide.is_displayed() for slide in slides] == [True, False, False]
    browser.find_element(By.CSS_SELECTOR, "input").send_keys(Keys.ARROW_RIGHT)
    assert [slide.text for slide in slides] == ["", "depth = 4. 4 levels", ""]
