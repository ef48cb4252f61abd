"""Unpack a .zip, .tar, .tar.gz, .tar.bz2 or .tar.xz of videos, frames or features.

An archive from the internet may hold paths and links that leave the folder, devices, or a few
kilobytes that unpack to terabytes. Such a one is refused, and leaves nothing behind; so does one
that is cut short.
"""

import click

from data_scripts.prepared.options import FILE, command, out_option, overwrite_option
from data_scripts.readers.archives import SIZE_LIMIT, unpack


@command(__doc__)
@click.argument("archive", type=FILE)
@out_option("The new folder.")
@click.option(
    "--limit",
    default=SIZE_LIMIT / 1e9,
    type=click.FloatRange(min=0, min_open=True),
    metavar="GB",
    help="The most that it may unpack to.",
)
@overwrite_option
def main(archive, out, limit, overwrite):
    files, size = unpack(archive, out, limit=int(limit * 1e9), overwrite=overwrite, progress=True)
    click.echo(f"{out}: {files} files, {size / 1e9:.3g} GB")


if __name__ == "__main__":
    main()
