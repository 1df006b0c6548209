"""Runs the console blocks of README.md as they are printed, against a running gateway.

    python tests/python/readme.py [--write]

The gateway must be `serve --sandbox` on its default port, fresh, with its sandbox on port 8080; `incidentgate` and
the tools must be on the PATH. Ids, times and what cargo says about building may differ from the text.
With --write the file gets the output that was seen.
"""

import difflib
import pathlib
import re
import subprocess
import sys
import tempfile
from collections import Counter

README = pathlib.Path(__file__).parents[2] / "README.md"
# Other projects' programs, whose commands are counted.
TOOLS = ["grpcurl", "grpc-health-probe", "ghz", "curl"]
BLOCK = re.compile(r"^```(console(?: ci)?|toml)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def normal(text):
    """The text without what differs from run to run."""
    lines = [line.rstrip() for line in text.splitlines()]
    lines = [line for line in lines if not re.match(r" +(Compiling|Finished|Running|Blocking) ", line)]
    text = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "GUID", "\n".join(lines))
    text = re.sub(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z?", "TIME", text)
    text = re.sub(r"\b\d+\.\d s\b", "S", text)
    # Go's JSON has one space or two after a colon, as chance will have it.
    return re.sub(r"[ \t]+", " ", text)


def run(command, last, folder):
    """The output of one command, and its exit code."""
    if command == "echo $?":
        return f"{last}\n", 0
    where = README.parent if command.startswith("cargo ") else folder
    result = subprocess.run(
        ["bash", "-c", command],
        cwd=where,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    return result.stdout, result.returncode


def play(block, folder):
    """The block as it should be printed."""
    played, last = [], 0
    for command in re.findall(r"^\$ (.*)$", block, re.MULTILINE):
        output, last = run(command, last, folder)
        output = "".join(line.rstrip() + "\n" for line in output.splitlines())
        played.append(f"$ {command}\n{output}")
    return "".join(played)


def main():
    text = README.read_text()
    written, wrong, count, tools = text, 0, 0, Counter()
    with tempfile.TemporaryDirectory() as folder:
        for kind, block in BLOCK.findall(text):
            if kind == "toml":
                (pathlib.Path(folder) / "incidentgate.toml").write_text(block)
                continue
            count += 1
            tools.update(word for word in re.findall(r"^\$ (\S+)", block, re.MULTILINE) if word in TOOLS)
            seen = play(block, folder)
            if normal(seen) == normal(block):
                continue
            wrong += 1
            written = written.replace(f"```{kind}\n{block}```", f"```{kind}\n{seen}```")
            print("".join(difflib.unified_diff(block.splitlines(True), seen.splitlines(True), "README.md", "seen")))
    if "--write" in sys.argv:
        README.write_text(written)
    for tool in TOOLS:
        print(f"README.md, {tool}: {tools[tool]} commands run")
    print(f"README.md: {count} blocks run, {wrong} differ")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
