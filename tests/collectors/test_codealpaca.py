"""codealpaca: alpaca about programs; one file says the answer twice."""

from built import Build, array


def test_output_else_response(build: Build) -> None:
    rows = [
        {"instruction": "Add.", "input": "a, b", "output": "a + b"},
        {"instruction": "Double.", "input": "", "response": "a * 2", "output": "a * 2"},
        {"instruction": "Halve.", "input": "No input", "response": "a / 2"},
        {"instruction": "Square.", "input": ""},
    ]
    built = build("codealpaca", {"new_codealpaca.json": array(*rows)})
    assert built.said == [
        {"instruction": "Add.", "input": "a, b", "output": "a + b"},
        {"instruction": "Double.", "output": "a * 2"},
        {"instruction": "Halve.", "output": "a / 2"},
    ]
    assert [row["extra"] for row in built.records] == [None] * 3
    assert built.refused == [(3, "missing field")]


def test_code_keeps_its_tags_and_indentation(build: Build) -> None:
    code = "def f(x):\n    if x:\n\treturn '<b>' + x\n    return None"
    row = {"instruction": "Write f.", "input": "def f(x):\n<noinput>", "output": f"\n{code}\n"}
    assert build("codealpaca", {"code_alpaca_2k.json": array(row)}).said == [row | {"output": code}]


def test_an_empty_output_is_refused(build: Build) -> None:
    rows = [{"instruction": "Draw.", "input": "", "output": ""}, {"instruction": "a", "input": "", "output": "b"}]
    assert build("codealpaca", {"code_alpaca_20k.json": array(*rows)}).refused == [(0, "empty output")]


def test_gpteachers_codegen_gives_the_same_ids(build: Build) -> None:
    answer = "int main() {}"
    row = {"instruction": "Write a C++ program.", "input": "", "response": answer}
    (ours,) = build("codealpaca", {"new_codealpaca.json": array(row | {"output": answer})}).records
    (theirs,) = build("gpteacher", {"Codegen/codegen-instruct.json": array(row)}).records
    assert ours["id"] == theirs["id"]
