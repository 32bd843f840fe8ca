"""alpaca_zh: alpaca in Chinese; one element has Chinese keys."""

from built import Build, array


def test_both_sets_of_keys(build: Build) -> None:
    rows = [
        {"instruction": "按字母排序。", "input": "{d,b,a}", "output": "{a,b,d}"},
        {"指示": "给出同义词。", "输入": "快乐", "输出": "高兴"},
        {"指示": "问好。", "输入": "<noinput>", "输出": "你好！"},
    ]
    built = build("alpaca_zh", {"alpaca_data_zh_51k.json": array(*rows)})
    assert built.said == [
        {"instruction": "按字母排序。", "input": "{d,b,a}", "output": "{a,b,d}"},
        {"instruction": "给出同义词。", "input": "快乐", "output": "高兴"},
        {"instruction": "问好。", "output": "你好！"},
    ]
    assert [row["extra"] for row in built.records] == [None] * 3


def test_an_empty_output_is_refused_under_either_key(build: Build) -> None:
    rows = [
        {"instruction": "画一幅画。", "input": "", "output": ""},
        {"指示": "画一幅画。", "输入": "", "输出": "　"},
        {"指示": "问好。", "输出": "你好！"},
        {"指示": "问好。", "输入": ""},
    ]
    built = build("alpaca_zh", {"alpaca_data_zh_51k.json": array(*rows)})
    assert built.refused == [(0, "empty output"), (1, "empty output"), (3, "missing field")]
    assert built.places == [("alpaca_data_zh_51k.json", 2)]


def test_noinput_in_a_longer_input_and_a_literal_line_break_stay(build: Build) -> None:
    inputs = ["关窗。\n<noinput>", '"<noinput>"', "<noinput>。", "无输入。"]
    rows = [{"instruction": "改写。\\n更礼貌。", "input": text, "output": "请关窗？\\n谢谢。"} for text in inputs]
    assert build("alpaca_zh", {"alpaca_data_zh_51k.json": array(*rows)}).said == rows
