"""The links of the project's Markdown pages, as a code host follows them.

`python tests/pages.py` requests the outside addresses over the network.
"""

import re
import sys
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("examples/*.md")])


def prose(text):
    """A page without blocks and spans of code, which may resemble links and headings."""
    text = re.sub(r"^(```+)[^`\n]*\n.*?^\1 *$", "", text, flags=re.M | re.S)
    return re.sub(r"(`+)(?!`).+?(?<!`)\1(?!`)", "", text)


def links(text):
    """The targets of a page's links and pictures, in order."""
    text = prose(text)
    inline = re.findall(r"\]\(\s*<?([^()\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)", text)
    defined = re.findall(r"^\[[^\]]+\]:\s*(\S+)", text, flags=re.M)
    automatic = re.findall(r"<(https?:[^>\s]+)>", text)
    return [*inline, *defined, *automatic]


def pictures(text):
    return re.findall(r"!\[[^\]]*\]\(([^()\s]+)\)", prose(text))


def anchors(text):
    """The anchors that a code host gives a page's headings."""
    text = re.sub(r"^(```+)[^`\n]*\n.*?^\1 *$", "", text, flags=re.M | re.S)
    found = []
    for heading in re.findall(r"^#{1,6} +(.+?) *#*$", text, flags=re.M):
        words = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
        number = sum(re.fullmatch(rf"{slug}(-\d+)?", other) is not None for other in found)
        found.append(f"{slug}-{number}" if number else slug)
    return found


def is_outside(target):
    return bool(urlsplit(target).scheme)


def broken(page, text, root=ROOT):
    """The broken links of a page, as "target: reason"."""
    found = []
    for target in links(text):
        if is_outside(target):
            parts = urlsplit(target)
            if parts.scheme != "https" or "." not in parts.netloc or target[-1] in ".,;:":
                found.append(f"{target}: not a well-formed https address")
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve()
        if path and not (file.is_relative_to(root) and file.exists()):
            found.append(f"{target}: no such file in the project")
        elif anchor and anchor not in anchors(file.read_text("utf-8") if path else text):
            found.append(f"{target}: no such heading")
    return found


def answers(address):
    """Whether the server has the address."""
    request = urllib.request.Request(address, headers={"User-Agent": "Mozilla/5.0"})
    try:
        with urllib.request.urlopen(request, timeout=30):
            return True
    except urllib.error.HTTPError as error:
        return error.code not in (404, 410)  # other codes come from hosts that want a browser
    except OSError:  # no such host, or no network
        return False


if __name__ == "__main__":
    addresses = {
        target for page in PAGES for target in links(page.read_text("utf-8")) if is_outside(target)
    }
    missing = [address for address in sorted(addresses) if not answers(address)]
    print(f"{len(addresses)} outside addresses, {len(missing)} do not answer", *missing, sep="\n")
    sys.exit(bool(missing))
