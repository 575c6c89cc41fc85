"""A tenant's author names plug-ins of the host, and never code to be imported."""

from __future__ import annotations

import sys

import pytest

from dripdrop.hooks.calls import Permanent
from dripdrop.hooks.python import Modules
from dripdrop.plugins import Plugins
from dripdrop.services.judging import checks

CODE = "tests.hooks.only_a_tenant_names_this:Hooks"


class Registered:
    def handle_hook(self, name: str, enrollment: object, context: object) -> int:
        return 7


def test_nothing_is_imported_for_a_tenant() -> None:
    modules = Modules(Plugins())
    with pytest.raises(Permanent, match="not_registered"):
        modules.find("this:antigravity", trusted=False)
    assert "this" not in sys.modules
    assert "plug-in" in (modules.problem(CODE, trusted=False) or "")


def test_what_the_host_imports_for_itself_is_not_lent_to_a_tenant() -> None:
    modules = Modules(Plugins())
    reference = f"{__name__}:Registered"
    assert modules.find(reference).handle_hook("n", {}, {}) == 7
    with pytest.raises(Permanent, match="not_registered"):
        modules.find(reference, trusted=False)


def test_a_plug_in_of_the_host_serves_tenants() -> None:
    plugins = Plugins()
    plugins.register("hooks", "onboarding", Registered())
    assert Modules(plugins).find("onboarding", trusted=False).handle_hook("n", {}, {}) == 7


def test_a_tenants_module_template_is_refused_before_anything_is_imported() -> None:
    judged = checks(trusted=False, resolve=lambda module, function: pytest.fail("it was imported"))
    assert judged.function is not None
    assert "may not name" in (judged.function("os", "system") or "")
