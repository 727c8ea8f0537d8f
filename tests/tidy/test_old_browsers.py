"""The waiting page's scripts and styles run in Safari 14.0 and in Firefox ESR.

`LACKING` lists what is tempting and missing there, with the first version that has it. What the
page can do without may be used behind `?.`.
"""

import re
from pathlib import Path

import pytest

PAGES = Path(__file__).parents[2] / "src/waitline/services/queue/pages"
THEME = PAGES.parents[1] / "pages/theme.css"
SCRIPTS = sorted(PAGES.glob("*.js"))

LACKING = {
    r"AbortSignal\.(timeout|any)\b": "Safari 16 and 17.4",
    r"(?<!\w)\w*[\])]?\.at\(|\.(findLast|findLastIndex|toSorted|toReversed|toSpliced)\(": (
        "Safari 15.4 and 16"
    ),
    r"\bstructuredClone\b": "Safari 15.4",
    r"\bObject\.(hasOwn|groupBy)\b": "Safari 15.4 and 17.4",
    r"\b(Array\.fromAsync|Promise\.withResolvers|Promise\.try)\b": "Safari 16.4 and later",
    r"\(\?<[=!]": "look-behind: Safari 16.4",
    r"/[gimsuy]*[dv][gimsuy]*\.(exec|test)\(": "flags d and v: Safari 15 and 17",
    r"(?m)^\s*(static\s*)?#\w+|\bthis\.#": "private members: Safari 14.1 and 15",
    r"(?m)^\s*static\s*(\{|\w+\s*[=;])": "static fields and blocks: Safari 14.1 and 16.4",
    r"(?m)^(\w[^\n(){}]*\s|)await\b": "await at the top of a module: Safari 15",
    r"\bimport\([^)]*,|\bimport\b[^;]*\b(with|assert)\s*\{": "import attributes: Safari 17.2",
    r"\bimport\.meta\.resolve\b": "Safari 16.4",
    r"\bBroadcastChannel\b": "Safari 15.4",
    r"\bcrypto\.randomUUID\b": "Safari 15.4",
    r"\bnavigator\.(locks|userAgentData|connection)\b": "Safari 15.4 or never",
    r"\brequestIdleCallback\b|\bscheduler\.": "never in Safari",
    r"\b(WeakRef|FinalizationRegistry)\b": "Safari 14.1",
    r"\bIntl\.(ListFormat|DisplayNames|DurationFormat|Segmenter)\b": "Safari 14.1 and later",
    r"\b(dateStyle|timeStyle|dayPeriod|fractionalSecondDigits)\b": "Safari 14.1",
    r"style: \"unit\"|notation: \"compact\"": "Safari 14.1",
    r"\b(showModal|HTMLDialogElement|popover)\b": "Safari 15.4 and 17",
    r"\bURL\.(canParse|parse)\b|\bURLPattern\b": "Safari 17 and later",
    r"\b(checkVisibility|scrollend|moveBefore|setHTML)\b": "Safari 17.4 and later",
    r"\bnew AudioContext\b": "Safari 14.1; before, its name has a prefix",
    r"\bnavigator\.wakeLock\.": "Safari 16.4",
    r"\bnavigator\.vibrate\(": "never in Safari",
    r"\bnavigator\.clipboard\.": "only over HTTPS",
}

STYLES_LACKING = {
    r"(?<!-)\bgap:(?![^}]*grid)": "in flex boxes: Safari 14.1; use margins",
    r"overflow-wrap:\s*anywhere": "Safari 15.4",
    r"(?<![-\w])inset:|\b(margin|padding|inset)-(block|inline):": "Safari 14.1",
    r"\baspect-ratio:": "Safari 15",
    r"\baccent-color:": "Safari 15.4",
    r":(has|is|where|user-invalid)\(": "Safari 15.4 and 14",
    r"@(layer|container|property|scope|starting-style|supports selector)": "Safari 15.4 and later",
    r"\b(color-mix|light-dark|oklch|oklab|lab|lch)\(": "Safari 15 and later",
    r"(?m)^\s+&": "nesting: Safari 16.5",
    r"\b(?:s|l)v[hw]\b": "Safari 15.4",
}


def code_of(script: Path) -> str:
    """Return a script without its comments."""
    return re.sub(r"(?m)(^|\s)//.*$", "", script.read_text("utf-8"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_use_nothing_newer(script: Path) -> None:
    code = code_of(script)
    found = {
        match[0]: since for rule, since in LACKING.items() for match in re.finditer(rule, code)
    }
    assert not found


def test_styles_use_nothing_newer_without_a_fallback() -> None:
    styles = "".join(file.read_text("utf-8") for file in (THEME, PAGES / "waiting.css"))
    styles = re.sub(r"/\*.*?\*/", "", styles, flags=re.DOTALL)
    found = {
        match[0]: since
        for rule, since in STYLES_LACKING.items()
        for match in re.finditer(rule, styles)
    }
    assert not found
    for declaration in re.findall(r"(?m)^\s*([\w-]+): [^;]*\ddvh", styles):
        assert re.search(rf"{declaration}: [^;]*\dvh;\s*{declaration}: [^;]*dvh;", styles)


@pytest.mark.parametrize(
    "newer",
    [
        "signal: AbortSignal.timeout(9)", "list.at(-1)", "rest(1).at(-1)", "[1].at(0)",
        "structuredClone(x)", "Object.hasOwn(a, b)", "/(?<=a)b/", "/(?<!a)b/", "  #count = 0;",
        "this.#count", "  static {", "  static x = 1;", "await start();", "const a = await b();",
        'new BroadcastChannel("a")', "crypto.randomUUID()", 'dateStyle: "long"',
        'new Intl.NumberFormat("en", { style: "unit" })', "navigator.wakeLock.request()",
        "new AudioContext()", 'import a from "./a.json" with { type: "json" }',
    ],
)  # fmt: skip
def test_the_rules_find_what_they_are_for(newer: str) -> None:
    assert any(re.search(rule, newer) for rule in LACKING)
