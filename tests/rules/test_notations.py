"""Is a definition the same in every notation, and does the printed schema agree with what is read?"""

from __future__ import annotations

import io
import json
from typing import Any

import jsonschema
import pytest
from documents import documents
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from dripdrop.cli.json_schema import json_schema
from dripdrop.rules import keys, validation
from dripdrop.rules.document import SEQUENCE_KEYS, STEP_KEYS, SequenceDocument, canonical, digest
from dripdrop.rules.reading import read
from dripdrop.services import sources
from dripdrop.services.places import json_places, toml_places

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


def loaded(text: str, notation: str) -> SequenceDocument:
    (each,) = sources.load_text(text, notation=notation)
    assert each.findings == []
    assert each.document is not None
    return each.document


@settings(max_examples=40, deadline=None)
@given(documents())
def test_yaml_and_json_say_the_same(one: SequenceDocument) -> None:
    once = document(canonical(one))
    assert loaded(yaml_of(canonical(one)), "yaml") == once
    assert loaded(json.dumps(canonical(one), indent=1), "json") == once


def toml_of(value: Any) -> str:
    """An inline value: TOML reads the escapes of JSON."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml_of(str(key))} = {toml_of(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml_of, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def without_null(value: Any) -> Any:
    """The same in words that TOML has: no null, so a way to the end says `complete`."""
    if isinstance(value, dict):
        kept = {key: without_null(each) for key, each in value.items() if each is not None}
        return {**kept, "goto": "complete"} if "goto" in value and value["goto"] is None else kept
    return [without_null(each) for each in value] if isinstance(value, list) else value


@settings(deadline=None)
@given(documents())
def test_toml_says_the_same(one: SequenceDocument) -> None:
    assume(all(step.position is not None for step in one.steps))
    said = canonical(one)
    text = "".join(f"{name} = {toml_of(without_null(each))}\n" for name, each in said.items())
    assert loaded(text, "toml") == document(said)


@settings(deadline=None)
@given(documents())
def test_every_line_and_column_in_toml_and_json_is_where_the_key_stands(one: SequenceDocument) -> None:
    said = without_null(canonical(one))
    steps = said.pop("steps")
    tables = "".join(
        f"[steps.{toml_of(key)}]\n" + "".join(f"  {name} = {toml_of(each)}\n" for name, each in step.items())
        for key, step in steps.items()
    )
    toml = "".join(f"{name} = {toml_of(each)}\n" for name, each in said.items()) + tables
    text = json.dumps({**said, "steps": steps}, indent=2, ensure_ascii=False)
    for written, places in ((toml, toml_places(toml)), (text, json_places(text)[0])):
        lines = written.split("\n")
        for at, (line, column) in places.items():
            if at and isinstance(at[-1], str):
                here = lines[line][column:]
                named = (at[-1], json.dumps(at[-1], ensure_ascii=False), f"[steps.{json.dumps(at[-1])}]", "[steps.")
                assert here.startswith(named), (at, here)
