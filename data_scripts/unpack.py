"""Unpack an archive of videos, frames or features (.zip, .tar, .tar.gz, .tar.bz2, .tar.xz) into a
new folder.

An archive from the internet may hold paths and links that leave the folder, devices, or a few
kilobytes that unpack to terabytes. Such a one is refused, and leaves nothing behind; so does one
that is cut short.
"""

import click

from corelib.machine.commands import Command, Place
from data_scripts.readers.archives import SIZE_LIMIT, unpack


@click.command(cls=Command, help=__doc__.splitlines()[0], context_settings={"show_default": True})
@click.argument("archive", type=Place(dir_okay=False))
@click.option("--out", required=True, type=Place(file_okay=False), help="The new folder.")
@click.option(
    "--limit",
    default=SIZE_LIMIT / 1e9,
    type=click.FloatRange(min=0, min_open=True),
    metavar="GB",
    help="The most that it may unpack to.",
)
@click.option("--overwrite", is_flag=True, help="Replace the folder if it exists.")
def main(archive, out, limit, overwrite):
    files, size = unpack(archive, out, limit=int(limit * 1e9), overwrite=overwrite, progress=True)
    click.echo(f"{out}: {files} files, {size / 1e9:.3g} GB")


if __name__ == "__main__":
    main()
