"""Who fulfils this contract, and where did it come from?

A plug-in comes in by the list given to the constructor, by `register`, or as an installed entry point of the group
`dripdrop.<kind>s` (`dripdrop.hooks` for hooks), which is loaded when its name is first asked for. What is given or
registered beats what is built in or installed; a second one of the same name and rank is a `Conflict`.

An item of the list is an object or a class whose callbacks tell its kind (or its attribute `kind` does), a tuple
`(kind, name, object)`, or a function that is handed the registry and registers what it likes.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from dripdrop.errors import Conflict, Finding, Invalid, NotFound

KINDS = ("provider", "channel", "scheduler", "shortener", "hooks", "allocator", "token_source", "template", "gate")
BUILT_IN, GIVEN, REGISTERED = "built in", "given", "registered"

# Each kind's callbacks: one whole line of them must be there.
_CALLBACKS: dict[str, tuple[tuple[str, ...], ...]] = {
    "provider": (
        ("deliver", "validate_credentials"),
        ("request", "outcome", "validate_credentials"),
        ("open_session", "deliver", "close_session", "validate_credentials"),
    ),
    "scheduler": (("schedule", "cancel"), ("schedule_one", "cancel_one")),
    "shortener": (("create_link",), ("__call__",)),
    "hooks": (("handle_hook",),),
    "allocator": (("pick_member",),),
    "token_source": (("token",), ("request", "granted"), ("__call__",)),
    "template": (("fetch",),),
    "gate": (("__call__",),),
}
_FEEDBACK = (
    "webhook_routes",
    "verify_webhook",
    "parse_events",
    "provider_event_id",
    "resolve_delivery",
    "normalize_feedback",
)
# What an object without the attribute `kind` is known by; the first that fits.
_TELLTALES = {
    "validate_credentials": "provider",
    "deliver": "provider",
    "schedule": "scheduler",
    "schedule_one": "scheduler",
    "create_link": "shortener",
    "handle_hook": "hooks",
    "fetch": "template",
    "pick_member": "allocator",
    "token": "token_source",
}


@dataclass(frozen=True, slots=True)
class Plugin:
    """One row of the registry. `channel` is None where the kind has none, or the entry point does not say it."""

    kind: str
    name: str
    channel: str | None
    origin: str
    object: Any = field(default=None, repr=False, compare=False)


class Plugins:
    """The registry of one DripDrop object. `installed(group)` gives the entry points of a group."""

    def __init__(
        self,
        plugins: Iterable[Any] = (),
        *,
        builtin: Iterable[Any] = (),
        installed: Callable[[str], Iterable[EntryPoint]] = lambda group: entry_points(group=group),
    ) -> None:
        self._chosen: dict[tuple[str, str | None, str], Plugin] = {}
        self._builtin: dict[tuple[str, str | None, str], Plugin] = {}
        self._loaded: dict[tuple[str, str | None, str], Plugin] = {}
        self._unopened: dict[tuple[str, str | None, str], EntryPoint] = {}
        self._installed = installed
        self._points: dict[str, Sequence[EntryPoint]] = {}
        for item in builtin:
            self._take(item, self._builtin, BUILT_IN)
        for item in plugins:
            self._take(item, self._chosen, GIVEN)

    def register(self, kind: str, name: str, object: Any, *, channel: str | None = None) -> Plugin:
        """Add one; raises `Conflict` for a name that is taken and `Invalid` naming the callbacks it lacks.

        A provider's channel may be left out where the object says it; a channel nobody knew before is a new channel.
        """
        return self._add(self._chosen, REGISTERED, kind, name, object, channel)

    def get(self, kind: str, name: str, channel: str | None = None) -> Any:
        """The object of that kind and name; `NotFound` says which are known. Providers are asked for with a channel."""
        kind, name, channel = _kind(kind), slug(name), slug(channel) if channel else None
        found = self._chosen.get((kind, channel, name)) or self._loaded.get((kind, channel, name))
        if found is None:
            found = self._find(kind, name, channel)
            self._loaded[kind, channel, name] = found
        return found.object

    def list(self, kind: str | None = None) -> Sequence[Plugin]:
        """Every known plug-in, of one kind or of all, without loading those that are only installed."""
        rows = {(row.kind, row.channel, row.name): row for row in self._announced(_kind(kind) if kind else None)}
        rows |= {key: row for key, row in self._builtin.items() if kind in (None, row.kind)}
        rows |= {key: row for key, row in self._chosen.items() if kind in (None, row.kind)}
        return sorted(rows.values(), key=lambda row: (KINDS.index(row.kind), row.channel or "", row.name))

    def providers(self, channel: str) -> Sequence[str]:
        """The names of a channel's providers, sorted; an unknown channel has none."""
        return sorted({row.name for row in self.list("provider") if row.channel == slug(channel)})

    def channels(self) -> Sequence[str]:
        """Every channel that has a provider or was registered, sorted."""
        named = {row.name for row in self.list("channel")}
        return sorted(named | {row.channel for row in self.list("provider") if row.channel})

    def _take(self, item: Any, into: dict[tuple[str, str | None, str], Plugin], origin: str) -> None:
        if isinstance(item, EntryPoint):
            self._announce(item, into, origin)
        elif isinstance(item, tuple) and len(item) == 3:
            self._add(into, origin, item[0], item[1], item[2], None)
        elif inspect.isroutine(item) and not hasattr(item, "kind"):
            item(self)
        else:
            kind = getattr(item, "kind", None) or _kind_of(item)
            self._add(into, origin, kind, getattr(item, "name", None), item, None)

    def _announce(self, point: EntryPoint, into: dict[tuple[str, str | None, str], Plugin], origin: str) -> None:
        """List one without importing it: that waits until its name is first asked for."""
        kind = next(kind for kind in KINDS if _group(kind) == point.group)
        channel, _, name = slug(point.name).rpartition(".")
        plugin = Plugin(kind, name, channel or None, origin)
        self._unopened[self._put(into, plugin)] = point

    def _add(
        self,
        into: dict[tuple[str, str | None, str], Plugin],
        origin: str,
        kind: str,
        name: Any,
        object: Any,
        channel: str | None,
    ) -> Plugin:
        plugin = _checked(_kind(kind), name, object, channel, origin)
        self._put(into, plugin)
        return plugin

    def _put(self, into: dict[tuple[str, str | None, str], Plugin], plugin: Plugin) -> tuple[str, str | None, str]:
        key = (plugin.kind, plugin.channel, plugin.name)
        if key in into:
            raise Conflict(
                f"There is already a {_say(*key)} ({into[key].origin}).",
                cure="Give one of them another name.",
                code="plugin_exists",
            )
        into[key] = plugin
        return key

    def _find(self, kind: str, name: str, channel: str | None) -> Plugin:
        found = [self._load(kind, point) for point in self._named(kind, name, channel)]
        found = [plugin for plugin in found if plugin.channel == channel]
        if builtin := self._builtin.get((kind, channel, name)):
            point = self._unopened.get((kind, channel, name))
            found.append(self._load(kind, point, BUILT_IN) if point is not None else builtin)
        if not found:
            raise self._unknown(kind, name, channel)
        if len(found) > 1:
            raise Conflict(
                f"{_say(kind, channel, name)} is there more than once: {', '.join(row.origin for row in found)}.",
                cure="Register the one you want, or uninstall the other.",
                code="plugin_exists",
            )
        return found[0]

    def _named(self, kind: str, name: str, channel: str | None) -> Sequence[EntryPoint]:
        wanted = {name, f"{channel}.{name}"}
        return [point for point in self._of(kind) if slug(point.name) in wanted]

    def _of(self, kind: str) -> Sequence[EntryPoint]:
        """The entry points of a kind; one that two paths lead to is counted once."""
        if kind not in self._points:
            found = {(each.name, each.value): each for each in self._installed(_group(kind))}
            self._points[kind] = list(found.values())
        return self._points[kind]

    def _load(self, kind: str, point: EntryPoint, origin: str | None = None) -> Plugin:
        try:
            loaded = point.load()
        except Exception as problem:
            raise Invalid(
                f"The plug-in {point.name} ({point.value}) cannot be loaded: {type(problem).__name__}: {problem}.",
                cure="Mend or uninstall the package that brings it.",
                code="plugin_not_loaded",
            ) from problem
        channel, _, name = slug(point.name).rpartition(".")
        return _checked(kind, name, loaded, channel or None, origin or _origin(point))

    def _announced(self, kind: str | None) -> Iterable[Plugin]:
        for each in KINDS if kind is None else (kind,):
            for point in self._of(each):
                channel, _, name = slug(point.name).rpartition(".")
                yield Plugin(each, name, channel or None, _origin(point))

    def _unknown(self, kind: str, name: str, channel: str | None) -> NotFound:
        names = sorted({row.name for row in self.list(kind) if row.channel == channel or row.channel is None})
        close = difflib.get_close_matches(name, names, 1)
        known = f"Known are: {', '.join(names)}." if names else "None is known."
        return NotFound(
            f"There is no {_say(kind, channel, name)}.",
            cure=f"Did you mean {close[0]}? {known}" if close else f"{known} Install it or register it.",
            code=f"unknown_{kind}",
        )


def slug(name: str) -> str:
    """One spelling of a name: trimmed, lower case, underscores for dashes."""
    return name.strip().lower().replace("-", "_")


def missing_callbacks(kind: str, object: Any) -> list[str]:
    """The callbacks an object lacks to be of this kind; empty is good."""
    lines = _CALLBACKS.get(kind, ())
    lacks = [[name for name in line if not callable(getattr(object, name, None))] for line in lines]
    missing = [] if not lacks or [] in lacks else min(lacks, key=len)
    if kind == "provider":
        if callable(getattr(object, "open_session", None)) and not callable(getattr(object, "close_session", None)):
            missing.append("close_session")
        without = [name for name in _FEEDBACK if not callable(getattr(object, name, None))]
        if len(without) < len(_FEEDBACK):
            missing += without
    return list(dict.fromkeys(missing))


def _checked(kind: str, name: Any, object: Any, channel: str | None, origin: str) -> Plugin:
    if inspect.isclass(object):
        object = object()
    name = name or getattr(object, "name", None)
    if not isinstance(name, str) or not name.strip():
        raise Invalid(f"A {kind} plug-in has no name.", cure="Give it an attribute `name`.", code="plugin_without_name")
    if kind == "provider":
        channel = channel or getattr(object, "channel", None)
        if not isinstance(channel, str) or not channel.strip():
            raise Invalid(
                f"The provider {name} has no channel.",
                cure="Give it an attribute `channel`.",
                code="plugin_without_channel",
            )
    if missing := missing_callbacks(kind, object):
        raise Invalid(
            f"The {kind} {name} lacks {', '.join(missing)}.",
            cure="Write them as dripdrop.contracts says.",
            code="missing_callbacks",
            findings=[Finding("missing_callback", each, f"{name} has no {each}.", "Write it.") for each in missing],
        )
    return Plugin(kind, slug(name), slug(channel) if channel else None, origin, object)


def _kind(kind: str) -> str:
    if kind not in KINDS:
        raise Invalid(f"There is no kind {kind!r}.", cure=f"Kinds are: {', '.join(KINDS)}.", code="unknown_kind")
    return kind


def _kind_of(item: Any) -> str:
    for telltale, kind in _TELLTALES.items():
        if hasattr(item, telltale):
            return kind
    raise Invalid(
        f"{item!r} is no plug-in.",
        cure="Give it the attribute `kind`, or pass (kind, name, object).",
        code="unknown_kind",
    )


def _group(kind: str) -> str:
    return f"dripdrop.{kind}" if kind.endswith("s") else f"dripdrop.{kind}s"


def _origin(point: EntryPoint) -> str:
    return f"installed: {point.dist.name if point.dist else point.value}"


def _say(kind: str, channel: str | None, name: str) -> str:
    return f"{kind} {name} for {channel}" if channel else f"{kind} {name}"
