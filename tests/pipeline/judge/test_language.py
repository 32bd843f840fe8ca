import csv
import runpy
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.judge.han import LEAN_JA, NOT_HANS, NOT_HANT, NOT_JA, signs
from pipeline.judge.language import agrees, detect
from pipeline.judge.scripts import HAN, KANA, KNOWN, LATIN, WORDS, counts

RAW = Path("../shared/raw")


@pytest.mark.parametrize(
    ("text", "language"),
    [
        (None, "und"),
        ("", "und"),
        (" \n", "und"),
        ("3.14 + 2 = ?", "und"),
        ("A", "und"),
        ("ABCD", "und"),
        ("😀👍", "und"),
        ("```python\nprint('the end of the world')\n```", "und"),
        ("https://example.org/the/way/of/the/world", "und"),
        ("\\frac{x_1}{y_2}", "und"),
        ("Give three tips for staying healthy.", "en"),
        ("Give th", "en"),
        ("Arrange ", "en"),
        ("What is the difference between 猫 and 犬 in Japanese?", "en"),
        ("How do I say 「很高興認識你」 in English, and when is it used?", "en"),
        ("请用Python写一个函数，计算斐波那契数列。", "zh-Hans"),
        ("把下面的代码改成C++：for i in range(10): print(i) if i % 2 else None", "zh-Hans"),
        ("解释一下 machine learning 和 deep learning 的区别", "zh-Hans"),
        ("将10人分成两支队伍。\nRohan, Sarah, Jane, Richard, Chloe, Mark, Lily, Harry", "zh-Hans"),
        ("請幫我寫一封信", "zh-Hant"),
        ("我和你一起去", "zh"),
        ("你好", "zh"),
        ("请把「ありがとう」翻译成中文，并说明它在什么场合使用。", "zh-Hans"),
        ("中国の歴史について教えてください。", "ja"),
        ("東京都庁舎展望室", "ja"),
        ("自動車運転免許", "ja"),
        ("国際電話会社", "ja"),
        ("东京大学在哪里", "zh-Hans"),
        ("東京的天氣怎麼樣", "zh-Hant"),
        ("ﾃﾚﾋﾞを見る", "ja"),
        ("똑똑한 고양이 이야기", "ko"),
        ("Привет, как дела?", "ru"),
        ("Hola, ¿cómo estás?", "es"),
        ("Où est la bibliothèque ?", "fr"),
        ("Straße", "de"),
        ("สวัสดีครับ", "th"),
    ],
)
def test_a_text_is_of_its_language(text: str | None, language: str) -> None:
    assert detect(pl.Series([text], dtype=pl.String)).item(0, "language") == language


def test_nothing_to_tell_by_is_no_confidence_and_the_columns_are_as_told() -> None:
    found = detect(pl.Series([None, "12 + 3", "请写一首关于春天的诗，要求押韵。"], dtype=pl.String))
    assert found.schema == {"language": pl.String, "confidence": pl.Float32}
    assert found["confidence"].to_list()[:2] == [0, 0]
    assert found["confidence"][2] > 0.95
    assert detect(pl.Series([], dtype=pl.String)).schema == found.schema


def test_what_is_no_prose_is_not_counted() -> None:
    texts = ["See https://a.b/the?x=1 and foo_bar, f(x), camelCase or the end", "日本語のテスト"]
    table = counts(pl.Series(texts)).table
    assert table[0, WORDS] == 5  # See, and, or, the, end
    assert table[0, KNOWN] == 3  # and, or, the
    assert (table[1, HAN], table[1, KANA], table[1, LATIN]) == (3, 4, 0)


@pytest.mark.parametrize(
    ("character", "sign"),
    [("円", NOT_HANS | NOT_HANT | LEAN_JA), ("国", NOT_HANT), ("電", NOT_HANS), ("为", NOT_HANT | NOT_JA), ("人", 0)],
)
def test_a_character_tells_which_standard_it_breaks(character: str, sign: int) -> None:
    assert signs().get(ord(character), 0) == sign


@pytest.mark.parametrize(
    ("tag", "language", "agreeing"),
    [
        ("EN", "en", True),
        ("EN", "fr", False),
        ("EN", "und", True),
        ("CN", "zh", True),
        ("CN", "zh-Hant", True),
        ("CN", "zha", False),
        ("CN", "ja", False),
        ("ML", "sw", True),
    ],
)
def test_a_found_language_agrees_with_the_declared_tag_or_not(tag: str, language: str, agreeing: bool) -> None:
    frame = pl.DataFrame({"lang": [tag], "language": [language]})
    assert frame.select(agrees(pl.col("lang"), pl.col("language"))).item() is agreeing


TEXTS = st.lists(st.none() | st.text(max_size=40) | st.text("ab the がカ中国國請请é`:/.写", max_size=30), max_size=8)


@settings(deadline=None)
@given(TEXTS)
def test_a_text_is_judged_by_itself(texts: list[str | None]) -> None:
    together = detect(pl.Series(texts, dtype=pl.String))
    alone = [detect(pl.Series([text], dtype=pl.String)) for text in texts]
    assert together.rows() == [one.row(0) for one in alone]
    assert together["confidence"].is_between(0, 1).all()


def test_another_process_finds_the_same() -> None:
    texts = ["Arrange ", "Paraphra", "Bonjour mes amis", "loud noises", "自動車", "Labas rytas", "xqzt", "Сайн уу"]
    words = (
        "import polars as pl; from pipeline.judge.language import detect; "
        f"print(detect(pl.Series({texts!r})).rows(), end='')"
    )
    found = subprocess.run([sys.executable, "-c", words], check=True, capture_output=True, text=True).stdout
    assert found == str(detect(pl.Series(texts)).rows())


def written() -> pl.DataFrame:
    """Strings written by hand; `alike` are those whose first characters are as good Chinese as Japanese."""
    with Path(__file__).with_name("languages.tsv").open(encoding="utf-8", newline="") as handle:
        return pl.DataFrame(list(csv.DictReader(handle, dialect="excel-tab", quoting=csv.QUOTE_NONE)))


@pytest.mark.parametrize("language", ["zh-Hant", "ja"])
def test_hand_written_chinese_and_japanese(language: str) -> None:
    rows = written().filter(pl.col("language") == language)
    assert rows.height >= 200
    right = ["zh", "zh-Hant"] if language == "zh-Hant" else ["ja"]
    texts = rows["text"]
    assert detect(texts.filter(texts.str.len_chars() >= 20))["language"].is_in(right).mean() >= 0.99
    cut = pl.concat([texts.filter(texts.str.len_chars() >= 6).str.slice(0, length) for length in range(6, 11)])
    assert detect(cut)["language"].is_in(right).mean() >= 0.97


@pytest.mark.parametrize(
    ("right", "strings"),
    [
        (
            "ja",
            "交通事故調査 児童相談所職員 社会人野球 入学願書受付 図書返却口 救急病院一覧 賃貸契約更新 議事録作成",
        ),
        (
            "zh",
            "交通银行 儿童福利院 高铁座位 房價走勢 中西合璧 請勿吸煙 美術館特展 公车路线 工商總會 傳統工藝 医院名单",
        ),
    ],
)
def test_words_tell_where_every_character_is_allowed(right: str, strings: str) -> None:
    found = detect(pl.Series(strings.split()))["language"]
    assert found.str.starts_with(right).all(), found.to_list()


def test_whole_sentences_of_many_languages() -> None:
    rows = written().filter(~pl.col("language").is_in(["zh-Hant", "ja"]))
    found = detect(rows["text"])["language"]
    assert (found == rows["language"]).mean() >= 0.95


@pytest.mark.skipif(not RAW.is_dir(), reason="the real rows are not here")
def test_the_bars_on_real_rows(tmp_path: Path) -> None:
    bench = runpy.run_path("bench/language.py")
    rows = bench["labelled"](RAW, tmp_path)
    assert sorted(rows["source"].unique()) == sorted(bench["LABELLED"])
    whole, cut = bench["graded"](rows, lambda texts: detect(texts)["language"])
    for source in bench["LABELLED"]:
        assert whole.filter(pl.col("source") == source)["right"].mean() >= 0.99, source
        assert cut.filter(pl.col("source") == source)["right"].mean() >= 0.97, source
