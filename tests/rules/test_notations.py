"""Is a definition the same in every notation, and does the printed schema agree with what is read?"""

from __future__ import annotations

import io
import json
from typing import Any

import jsonschema
import pytest
from documents import documents
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from dripdrop.cli.json_schema import json_schema
from dripdrop.rules import keys, validation
from dripdrop.rules.document import SEQUENCE_KEYS, STEP_KEYS, SequenceDocument, canonical, digest
from dripdrop.rules.reading import read

SCHEMA = json_schema()
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def document(source: Any) -> SequenceDocument:
    found, findings = read(source)
    assert findings == []
    assert found is not None
    return found


def yaml_of(value: Any) -> str:
    writer = YAML(typ="safe", pure=True)
    writer.sort_base_mapping_type_on_output = False
    out = io.StringIO()
    writer.dump(value, out)
    return out.getvalue()


@given(documents(defaults=False))
def test_a_document_survives_the_way_to_its_canonical_form_and_back(one: SequenceDocument) -> None:
    assert document(canonical(one)) == one


@given(documents())
def test_reading_twice_changes_nothing(one: SequenceDocument) -> None:
    once = document(canonical(one))
    again = document(canonical(once))
    assert again == once
    assert canonical(again) == canonical(once)
    assert digest(again) == digest(once)


@given(documents())
def test_what_is_read_without_a_finding_is_valid_by_the_schema(one: SequenceDocument) -> None:
    VALIDATOR.validate(canonical(one))


def test_the_schema_is_one_and_names_every_key() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert {*STEP_KEYS, "html_file"} <= set(SCHEMA["$defs"]["step"]["properties"])
    assert set(SEQUENCE_KEYS) == set(SCHEMA["properties"])


WRONG = st.sampled_from([5, 1.5, True, "text", ["a"], [5], {"a": 1}, {"a": {"b": [1]}}, [{"a": 1}], [[1]]])


def told(source: dict[str, Any]) -> tuple[list[str], list[str]]:
    """The codes that reading finds, and those that judging finds besides."""
    found, findings = read(source)
    assert found is not None
    return [each.code for each in findings], [each.code for each in validation.findings(found)]


@given(st.sampled_from(sorted(keys.STEP)), WRONG)
def test_a_mistake_in_the_type_of_a_steps_key_is_found_by_both(key: str, value: Any) -> None:
    source = {"sequence": "s", "steps": {"a": {"channel": "email", key: value}}}
    while_reading, judged = told(source)
    if VALIDATOR.is_valid(source):
        assert set(while_reading) <= {"timing_phrase", "timing", "template_module", "step_key"}
    else:
        assert while_reading or judged


@given(st.sampled_from(sorted(set(keys.SEQUENCE) - {"sequence"})), WRONG)
def test_a_mistake_in_the_type_of_a_sequences_key_is_found_by_both(key: str, value: Any) -> None:
    source = {"sequence": "s", key: value}
    while_reading, judged = told(source)
    if VALIDATOR.is_valid(source):
        assert while_reading == []
    else:
        assert while_reading or judged


@pytest.mark.parametrize("name", [*keys.STEP, *keys.SEQUENCE])
def test_every_key_may_be_left_empty(name: str) -> None:
    if name == "sequence":
        return
    for source in ({"sequence": "s", name: None}, {"sequence": "s", "steps": {"a": {name: None}}}):
        if read(source)[1] == []:
            VALIDATOR.validate(source)


@given(documents())
def test_json_and_back_changes_nothing(one: SequenceDocument) -> None:
    assert json.loads(json.dumps(canonical(one))) == canonical(one)
