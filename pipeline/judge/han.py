"""What a Chinese character tells of the language it stands in: simplified Chinese, traditional Chinese or Japanese.

Each of the three is written with a standard set of characters. A text is taken for the one it breaks least, so that
国際電話会社 is Japanese: 際電話 are no simplified Chinese, 国会 no traditional. The sets are the tables of the national
encodings (GB 2312, Big5, JIS X 0208) mended by OpenCC's conversions; both come with the program's libraries, none is
stored here.
"""

import functools
from typing import Final

from pipeline.judge.characters import variants

NOT_HANS, NOT_HANT, NOT_JA, LEAN_JA, LEAN_ZH = 1, 2, 4, 8, 16
"""Signs of a character: it breaks a standard, or keeps all three yet is at home in one."""

RANGES: Final = ((0x3400, 0x9FFF), (0xF900, 0xFAFF))
"""The code points looked at, both ends included; what lies beyond is too rare to tell by."""

_FUNCTION: Final = "我他是了的在也都就把很吧但如及呢你們這那嗎麼沒請說跟讓和向从從到使它要会會能"
"""Characters that hold a Chinese sentence together and are seldom met in Japanese words."""

_WORDS: Final = """
株式 役所 役場 切符 免許 市役 区役 丁目 番地 自動車 自転車 新幹線 各停 駐車場 取引 取扱 取締 締切 割引 見積 見出 受付
受取 引受 引上 引下 引越 申込 手続 手数料 立入 立場 立替 差額 差出 差押 仕入 仕様 仕組 場合 大丈夫 一生懸命 定休
年中無休 非常口 津波 台風 火気 厳禁 火災報知 土曜日 日曜日 月曜日 火曜日 水曜日 木曜日 金曜日 曜日 社員 係長 入社 就活
残業 転勤 退社 出勤簿 給料 年末調整 源泉徴収 確定申告 住民票 印鑑 戸籍 保険証 被保険者 健康保険証 運転免許 普通自動車
個人情報 情報保護 特許庁 行政法人 府立 都立 道立 県立 東京都 東海道 義塾 勉強 弁当 定食 醤油 焼酎 献立 食券 部屋 風呂
銭湯 民宿 掃除機 冷蔵庫 時計 荷物 宅配便 宅急便 切符売 邪魔 迷惑 苦手 丁寧 元気 天気 平仮名 片仮名 勿論 随分 何処 奥様
御中 拝啓 敬具 御礼 御座 御飯 御社 御免 貴社 弊社 挨拶 夕方 夕飯 夕刊 朝刊 箇月 箇所 今晩 今週 来週 先週 先月 毎月
毎週 毎朝 祝日 昼休 泥棒 喧嘩 怪我 風邪 病気 薬局 歯科 歯医者 診療所 人身事故 遅延 改札 乗場 乗換 停留所 一方通行 駅前
駅弁 駅員 車掌 回送 発車 空席 満席 指定席 自由席 片道 時刻表 芝居 落語 歌舞伎 浮世絵 時代劇 演歌 紅白歌合戦 茶碗 箸置
下駄 浴衣 帯締 手拭 提灯 花火大会 盆踊 初詣 年賀状 門松 鏡餅 雑煮 警視庁 気象庁 衆議院 参議院 総務省 外務省 財務省
文部科学 厚生労働 経済産業 国土交通 防衛省 都道府県 市町村 町内会 組合員 地裁 検察庁 弁護士 税理士 司法書士 売店 売上
売切 値段 値引 値上 税込 税抜 送料 返品 品切 品物 領収書 請求書 納品書 支払 払戻 振込 振替 口座振替 貯金 残高照会
暗証番号 電話番号 手紙 切手 申告書 就職 味噌汁 沢山
"""

JAPANESE: Final = _WORDS.split()
"""Words in Chinese characters that are Japanese, for where the characters by themselves leave it open.

They count in a text that breaks no Japanese rule, so that a Chinese text has to be short to be misled by one.
"""


@functools.cache
def signs() -> dict[int, int]:
    """The signs of every character that has one, by code point."""
    simplified, traditional = variants("t2s"), variants("jp2t") | variants("s2t")
    modern, hong_kong = variants("t2jp"), set(variants("t2hk").values())
    found: dict[int, int] = {}
    for first, last in RANGES:
        for code in range(first, last + 1):
            mainland, taiwan, japan = (_level(code, name) for name in ("gb2312", "big5", "shift_jis"))
            if mainland or taiwan or japan:
                hans = bool(mainland)
                hant = taiwan == 1 or (taiwan == 2 and code not in traditional) or code in hong_kong
                ja = japan == 1 or (japan == 2 and code not in modern)
            else:
                hans, hant, ja = code not in simplified, code not in traditional, False
            sign = NOT_HANS * (not hans) | NOT_HANT * (not hant) | NOT_JA * (not ja)
            sign |= LEAN_JA * (japan == 1 and mainland != 1 and taiwan != 1)
            sign |= LEAN_ZH * ((japan == 2 and (mainland == 1 or taiwan == 1)) or chr(code) in _FUNCTION)
            if sign:
                found[code] = sign
    return found


_SECOND: Final = {"gb2312": 0xD8A1, "big5": 0xC940, "shift_jis": 0x989F}
"""Where the less common characters of an encoding begin."""


def _level(code: int, encoding: str) -> int:
    """1 for a character in common use in the land of an encoding, 2 for another that it has, 0 for none of it."""
    encoded = chr(code).encode(encoding, "ignore")
    return 1 + (int.from_bytes(encoded) >= _SECOND[encoding]) if len(encoded) == 2 else 0
