"""The alert rules, by promtool: whether they can be read, and whether they fire when they should, and only then."""

import re
import subprocess

import yaml


def promtool(*words):
    said = subprocess.run(["promtool", *words], capture_output=True, text=True)
    assert said.returncode == 0, said.stdout + said.stderr


def check(folder):
    promtool("check", "rules", "--lint=all", "--lint-fatal", folder / "alerts.yaml")
    promtool("test", "rules", folder / "alerts_test.yaml")
    [group] = yaml.safe_load((folder / "alerts.yaml").read_text())["groups"]
    tests = yaml.safe_load((folder / "alerts_test.yaml").read_text())["tests"]
    samples = [case["exp_samples"] for test in tests for case in test["promql_expr_test"]]
    fired = {name for expected in samples for sample in expected for name in re.findall('"(.*)"', sample["labels"])}
    silent = {rule["alert"] for rule in group["rules"]} - fired
    assert not silent, f"no test lets these fire: {sorted(silent)}"
    return f"{len(group['rules'])} rules, {len(samples)} moments of {len(tests)} tests passed"
