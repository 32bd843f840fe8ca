"""gpteacher: instruction, input and response in five files, one of them in a folder with a space."""

from built import Build, array


def test_response_or_output(build: Build) -> None:
    rows = [
        {"instruction": "Summarise the event.", "input": "French Revolution", "response": "wikipedia('it')"},
        {"instruction": "Name a capital.", "input": "", "output": "Lisbon"},
        {"instruction": "Describe the picture.", "input": "", "response": " "},
        {"instruction": "Describe the picture.", "input": ""},
    ]
    built = build("gpteacher", {"Toolformer/toolformer-dedupe-only-dataset.json": array(*rows)})
    assert built.said == [
        {"instruction": "Summarise the event.", "input": "French Revolution", "output": "wikipedia('it')"},
        {"instruction": "Name a capital.", "output": "Lisbon"},
    ]
    assert built.refused == [(2, "empty output"), (3, "missing field")]


def test_example_input_is_kept_where_it_stands(build: Build) -> None:
    row = {"instruction": "Find its height.", "input": "Ben Nevis", "response": "search('Ben Nevis')"}
    rows = [row | {"example_input": "Mont Blanc"}, row | {"example_input": None}, row]
    built = build("gpteacher", {"toolformer-dedupe-only-dataset.json": array(*rows)})
    assert built.said[0]["extra"] == {"example_input": "Mont Blanc"}
    assert [row["extra"] for row in built.records[1:]] == [None, None]


def test_a_folder_with_a_space(build: Build) -> None:
    path = "Roleplay Supplemental/roleplay-instruct-v2.1.json"
    row = {"instruction": "You are a guide.", "input": "", "response": "Welcome!"}
    built = build("gpteacher", {path: array(row)})
    assert built.places == [(path, 0)]


def test_noinput_after_other_text_and_code_stay(build: Build) -> None:
    row = {"instruction": "Act.", "input": "A child.\n<noinput>", "response": "<p>Hi</p>\n\n    x = 1"}
    assert build("gpteacher", {"roleplay-simple-deduped-roleplay-instruct.json": array(row)}).said == [
        {"instruction": "Act.", "input": "A child.\n<noinput>", "output": "<p>Hi</p>\n\n    x = 1"}
    ]


def test_the_similarity_files_are_left(build: Build) -> None:
    text = array({"instruction": "a", "input": "", "response": "b"})
    built = build(
        "gpteacher", {f"Instruct/gpt4-instruct-{kind}-dataset.json": text for kind in ("dedupe-only", "similarity-0.9")}
    )
    assert built.places == [("Instruct/gpt4-instruct-dedupe-only-dataset.json", 0)]
