"""The notebooks as JupyterLab reads them."""

from ipykernel.ipkernel import IPythonKernel
from jupyter_server.services.contents.largefilemanager import AsyncLargeFileManager


class Notebooks(AsyncLargeFileManager):
    """States the language to the version, as the kernel would: or all look unsaved once opened."""

    async def get(self, path, content=True, **more):
        model = await super().get(path, content, **more)
        if content and model["type"] == "notebook":
            model["content"]["metadata"]["language_info"] = dict(IPythonKernel.language_info)
        return model
