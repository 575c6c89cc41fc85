"""Are the hooks that a definition asks there, and can they be called?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from dripdrop.errors import Finding
from dripdrop.rules import http_hooks, shapes
from dripdrop.rules.checks.common import Checks, Found
from dripdrop.rules.condition import asked
from dripdrop.rules.definition import Condition
from dripdrop.rules.document import Path, SequenceDocument
from dripdrop.rules.keys import MAPPING


def hooks(document: SequenceDocument, known: Checks) -> Found:
    """What is wrong with the hook module, with each HTTP hook, and with what conditions name."""
    if document.hook_module and known.hooks is not None:
        problem = known.hooks(document.hook_module, None)
        if problem is not None:
            cure = "Name a registered plug-in or module:Class with a `handle_hook`, importable here (see --app)."
            yield document.finding("hook_module", ("hooks",), problem, cure)
    yield from _endpoints(document, known)
    keys = {http_hooks.normalised(key) for key in _written(document)} | set(known.http_hooks)
    for at, condition in _conditions(document):
        for name in sorted(asked((condition,)).hooks):
            yield from _asked(document, name, at, keys, known)


def _asked(document: SequenceDocument, name: str, at: Path, keys: set[str], known: Checks) -> Found:
    if name in keys:
        return
    module = document.hook_module
    if not module:
        cure = "Define it under `http_hooks:`, or name the module that answers: `hooks: myapp.hooks:Onboarding`."
        yield document.finding("unknown_hook", at, f"There is no hook {name[:80]!r}.", cure)
        return
    problem = known.hooks(module, name) if known.hooks is not None else None
    # One that is broken as a whole is said once, at `hooks`.
    if problem is not None and known.hooks is not None and known.hooks(module, None) is None:
        yield document.finding("unknown_hook", at, problem, "Name one that the module answers, or define it.")


def _endpoints(document: SequenceDocument, known: Checks) -> Found:
    seen: dict[str, str] = {}
    for key, written in _written(document).items():
        at: Path = ("http_hooks", key)
        if not isinstance(written, Mapping):
            for code, where, message, cure in shapes.misfits(written, MAPPING, at):
                yield document.finding(code, where, message, cure)
            continue
        hook, auth, problems = http_hooks.read(key, written, allow=known.http_allow)
        for each in (*problems, *http_hooks.secrets_in_clear(hook, auth)):
            yield document.finding(each.code, (*at, *_steps(each)), each.message, each.cure)
        if hook.key in seen:
            message = f"{seen[hook.key]!r} and {key!r} are the same key."
            yield document.finding("duplicate_key", at, message, "Rename one of them.")
        seen[hook.key] = key
        for name in ("url", "body_template") if known.endpoint is not None else ():
            text = written.get(name)
            for problem in known.endpoint(text) if known.endpoint is not None and isinstance(text, str) else ():
                place = f" (line {problem.line} of the template)" if problem.line else ""
                cure = "Mend the Liquid template; {{ value | json }} writes a value as JSON."
                yield document.finding("template", (*at, name), f"{problem.message}{place}.", cure)


def _written(document: SequenceDocument) -> Mapping[str, object]:
    found = document.config.get("http_hooks")
    return found if isinstance(found, Mapping) else {}


def _steps(problem: Finding) -> Path:
    return () if problem.path == "key" else tuple(problem.path.split(".", 1))


def _conditions(document: SequenceDocument) -> Iterator[tuple[Path, Condition]]:
    for step in document.steps:
        yield from _placed(("steps", step.key, "when"), step.gate_mode, step.conditions)
    places: dict[str | None, int] = {}
    for way in document.transitions:
        place = places[way.origin] = places.get(way.origin, -1) + 1
        at: Path = ("start", place) if way.origin is None else ("steps", way.origin, "next", place)
        yield from _placed((*at, "when"), way.mode, way.conditions)


def _placed(at: Path, mode: str, several: Sequence[Condition]) -> Iterator[tuple[Path, Condition]]:
    for place, condition in enumerate(several):
        yield (at if mode == "all" and len(several) == 1 else (*at, mode, place)), condition
