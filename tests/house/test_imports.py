"""Do imports point down, as house and pyproject say?"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tree import ROOT


def test_every_import_contract_is_kept():
    program = Path(sys.executable).with_name("lint-imports")
    ran = subprocess.run([program, "--no-cache", "--no-logo"], cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout[ran.stdout.find("Broken contracts") :] + ran.stderr


def test_importing_the_front_door_loads_no_optional_package():
    heavy = ["django", "sqlalchemy", "asyncpg", "aiosmtplib", "starlette", "mrml", "redis", "celery", "click", "rich"]
    code = f"import sys, dripdrop; print([name for name in {heavy} if name in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
