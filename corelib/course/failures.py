"""What went wrong in a notebook, as one line with what to do about it."""

from __future__ import annotations

import textwrap

MEMORY = (
    "too little memory: close other programs and kernels, or take a smaller profile (--profile"
    " smoke)"
)
DISK = (
    "the disk is full: free some space, then give the same command again; what is finished is kept"
)
KERNEL_DIED = f"the kernel died; the commonest cause is {MEMORY}"
INSTALLATION = "ask `python -m corelib doctor` what is missing or broken"

# Parts of an error's class or message (lower case) -> what to do. torch and numpy have errors of
# their own for a memory that is full, and each system its own words for a disk that is.
ADVICE = {
    "memoryerror": MEMORY,
    "outofmemory": MEMORY,
    "out of memory": MEMORY,
    "can't allocate memory": MEMORY,
    "unable to allocate": MEMORY,
    "no space left on device": DISK,
    "not enough space on the disk": DISK,
    "disk quota exceeded": DISK,
    "modulenotfounderror": INSTALLATION,
    "torchvision::nms": INSTALLATION,
}


def explain_error(kind: str, message: str) -> str:
    """One line of at most about 500 characters: an error, and what to do where that is known."""
    whole = f"{kind}: {message}" if message.strip() else kind
    said = textwrap.shorten(whole, 400, placeholder=" ...")
    advice = next((advice for sign, advice in ADVICE.items() if sign in whole.lower()), None)
    return f"{said} - {advice}" if advice else said
