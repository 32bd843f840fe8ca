"""Conversations to ids and labels, the mask growing beside the ids.

A rendered conversation is cut into segments at the ends of its trained spans (an answer with its end token); every
segment is encoded by itself and carries its mask with it, so nothing is searched for afterwards. The prompt before the
first span is one segment: its ids are what the model sees when it is served with `add_generation_prompt=True`. Before
a later span that holds only if joining the segments' ids is the same as encoding their joined text. This is checked
for every conversation with several spans, at the last one, where all earlier cuts take part; where it fails (an answer
that starts with a blank line, say) only the last answer is trained, behind its whole prompt's ids, and this is counted.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, pairwise
from typing import Any, Final, Literal

import numpy as np
from jinja2.exceptions import TemplateError as JinjaError
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase
from transformers.utils.chat_template_utils import render_jinja_template

from collectors.errors import TemplateError, TrainingError
from templates.prompt import Prompt

IGNORED: Final = -100
"""The label of a token that is not trained, as torch's cross entropy takes it."""

TOO_LONG: Final = "longer than the cutoff"
UNTRAINED: Final = "no trained token"
CUT_SHORT: Final = "cut at the cutoff, without end token"
LAST_ONLY: Final = "only the last answer trained: an earlier cut would change ids"

Ids = NDArray[np.int32]


Message = Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Rendered:
    """A conversation in its prompt format: `text`, and the (start, end) of what the assistant writes, in characters."""

    text: str
    spans: list[tuple[int, int]]


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """The kept rows of a batch, end to end: `ids` and `labels` of all tokens, `lengths` and ordinals (`rows`) of rows.

    `dropped` counts the rows left out by reason, `noted` the kept rows that were changed; `len(rows)` and the dropped
    rows together are the rows that came in.
    """

    ids: Ids
    labels: Ids
    lengths: NDArray[np.int64]
    rows: NDArray[np.int64]
    dropped: Counter[str]
    noted: Counter[str]


class Encoder:
    """Encodes conversations for one tokenizer and prompt format; refuses pairs of them that do not go together."""

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        prompt: Prompt,
        *,
        loss_on: Literal["all", "last"] = "all",
        cutoff: int,
        beyond_cutoff: Literal["drop", "truncate"] = "drop",
    ) -> None:
        self.tokenizer, self.prompt = tokenizer, prompt
        self.loss_on, self.cutoff, self.beyond_cutoff = loss_on, cutoff, beyond_cutoff
        _check_tokens(tokenizer, prompt)
        self._anchor = _anchor(tokenizer)
        self._check_end()

    def encode(self, conversations: Sequence[Sequence[Message]]) -> Encoded:
        """Encode a batch of conversations (messages of `role` and `content`, perhaps `input`).

        `TemplateError` for a conversation that the format refuses.
        """
        rendered = render(self.prompt, self.tokenizer, conversations)
        cut = [_segments(one, self.loss_on) for one in rendered]
        first = [0, *accumulate(len(segments) for segments, _ in cut)]
        pieces = self._ids([(text, place > 0) for segments, _ in cut for place, text in enumerate(segments)])
        trained = [flag for _, flags in cut for flag in flags]
        noted = Counter({LAST_ONLY: self._mend(rendered, first, pieces, trained)})

        sizes = np.fromiter(map(len, pieces), np.int64, len(pieces))
        ids = np.fromiter(chain.from_iterable(pieces), np.int32, int(sizes.sum()))
        mask = np.repeat(np.asarray(trained, bool), sizes)
        ends = np.concatenate([[0], np.cumsum(sizes)])[first]
        return self._limited(ids, mask, np.diff(ends), noted)

    def _ids(self, segments: list[tuple[str, bool]]) -> list[list[int]]:
        """The ids of (text, whether it stands behind other text), special tokens only where the text has them."""
        texts = [self._anchor + text if inside else text for text, inside in segments]
        backend = getattr(self.tokenizer, "backend_tokenizer", None)
        if backend is None:
            encoded = self.tokenizer(texts, add_special_tokens=False)["input_ids"] if texts else []
        else:
            backend.no_truncation()
            backend.no_padding()
            encoded = [one.ids for one in backend.encode_batch_fast(texts, add_special_tokens=False)]
        if self._anchor:
            return [ids[1:] if inside else ids for ids, (_, inside) in zip(encoded, segments, strict=True)]
        return encoded

    def _mend(self, rendered: list[Rendered], first: list[int], pieces: list[list[int]], trained: list[bool]) -> int:
        """Where several spans are trained, hold the ids before the last one against those of serving.

        Rows that differ keep their last span alone, behind the served ids. Returns how many do.
        """
        if self.loss_on == "last":
            return 0
        several = [row for row, one in enumerate(rendered) if len(one.spans) > 1]
        served = self._ids([(rendered[row].text[: rendered[row].spans[-1][0]], False) for row in several])
        mended = 0
        for row, prompt in zip(several, served, strict=True):
            start = first[row]
            answer = start + 2 * len(rendered[row].spans) - 1
            if list(chain.from_iterable(pieces[start:answer])) == prompt:
                continue
            pieces[start:answer] = [prompt, *([[]] * (answer - start - 1))]
            trained[start:answer] = [False] * (answer - start)
            mended += 1
        return mended

    def _limited(self, ids: Ids, mask: NDArray[np.bool_], lengths: NDArray[np.int64], noted: Counter[str]) -> Encoded:
        """Apply the cutoff, and leave out what has nothing to train."""
        owner = np.repeat(np.arange(len(lengths)), lengths)
        long = lengths > self.cutoff
        dropped: Counter[str] = Counter()
        keep = np.ones(len(lengths), bool)
        if self.beyond_cutoff == "truncate":
            starts = np.cumsum(lengths) - lengths
            within = np.arange(len(ids)) - starts[owner] < self.cutoff
            ids, mask, owner = ids[within], mask[within], owner[within]
            lengths = np.minimum(lengths, self.cutoff)
        else:
            keep &= ~long
            dropped[TOO_LONG] = int(long.sum())
        empty = keep & (np.bincount(owner[mask], minlength=len(lengths)) == 0)
        keep &= ~empty
        dropped[UNTRAINED] = int(empty.sum())
        if self.beyond_cutoff == "truncate":
            noted[CUT_SHORT] = int((long & keep).sum())
        kept = keep[owner]
        labels = np.where(mask, ids, np.int32(IGNORED))[kept]
        return Encoded(
            ids=ids[kept],
            labels=labels,
            lengths=lengths[keep],
            rows=np.flatnonzero(keep),
            dropped=+dropped,
            noted=+noted,
        )

    def _check_end(self) -> None:
        """An answer must be closed by one special token, or the model would never learn to stop."""
        probe = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
        (one,) = render(self.prompt, self.tokenizer, [probe])
        if not one.spans:
            raise TrainingError(f"prompt format {self.prompt.name}: marks nothing with {{% generation %}} to train on")
        start, end = one.spans[-1]
        (ids,) = self._ids([(one.text[start:end], True)])
        if ids[-1] not in set(self.tokenizer.all_special_ids) | set(self.tokenizer.added_tokens_decoder):
            raise TrainingError(
                f"prompt format {self.prompt.name}: does not close an answer with a special token of this tokenizer; "
                "the model would never learn to stop"
            )


def conversation(row: Mapping[str, Any], prompt: Prompt) -> list[Message]:
    """A mixture's row as the messages a prompt format is given.

    Formats take `messages` as they are. One that knows the key `input` gets the last request in its two halves where
    the wording is plain, so that it can set the input apart as the format was published.
    """
    messages: list[Message] = row["messages"]
    if row["template"] != "plain" or "'input'" not in prompt.text or not row["input"]:
        return messages
    asked = max((place for place, message in enumerate(messages) if message["role"] == "user"), default=None)
    # A suffix may have been added to the request; what is trained is then what `messages` says.
    if asked is None or messages[asked]["content"] != f"{row['instruction']}\n{row['input']}":
        return messages
    request = {"role": "user", "content": row["instruction"], "input": row["input"]}
    return [*messages[:asked], request, *messages[asked + 1 :]]


def render(
    prompt: Prompt, tokenizer: PreTrainedTokenizerBase, conversations: Sequence[Sequence[Message]]
) -> list[Rendered]:
    """Conversations in a prompt format, rendered by transformers, as `apply_chat_template` does when serving."""
    try:
        texts, spans = render_jinja_template(
            [list(messages) for messages in conversations],
            chat_template=prompt.text,
            return_assistant_tokens_mask=True,
            **tokenizer.special_tokens_map,
        )
    except JinjaError as error:
        raise TemplateError(f"prompt format {prompt.name}: {error}") from None
    return [Rendered(text=text, spans=found) for text, found in zip(texts, spans, strict=True)]


def _segments(rendered: Rendered, loss_on: str) -> tuple[list[str], list[bool]]:
    """The text cut at its trained spans, and which of the pieces are such spans: prompt, answer, prompt, ..., tail."""
    spans = rendered.spans[-1:] if loss_on == "last" else rendered.spans
    cuts = [0, *chain.from_iterable(spans), len(rendered.text)]
    pieces = [rendered.text[start:end] for start, end in pairwise(cuts)]
    return pieces, [place % 2 == 1 for place in range(len(pieces))]


def _check_tokens(tokenizer: PreTrainedTokenizerBase, prompt: Prompt) -> None:
    """The tokenizer must hold every special token that the format writes."""
    if "eos_token" in prompt.text and tokenizer.eos_token is None:
        raise TrainingError(
            f"prompt format {prompt.name}: ends answers with the tokenizer's end token, and the tokenizer of "
            f"{tokenizer.name_or_path or 'this base'} has none; set eos_token in its tokenizer_config.json"
        )
    vocabulary = tokenizer.get_vocab()
    lacking = sorted(token for token in set(re.findall(r"<\|\w+\|>", prompt.text)) if token not in vocabulary)
    if lacking:
        raise TrainingError(
            f"prompt format {prompt.name}: needs {' and '.join(lacking)}, which the tokenizer of "
            f"{tokenizer.name_or_path or 'this base'} does not hold; use prompt: alpaca, or a base that has them"
        )


def _anchor(tokenizer: PreTrainedTokenizerBase) -> str:
    """A special token to encode inner segments behind, for tokenizers that put a blank before the start of a text.

    Empty for all others, and for those that put the blank behind a special token as well.
    """
    special = tokenizer.bos_token or tokenizer.eos_token
    if special is None:
        return ""
    alone, behind = (tokenizer(text, add_special_tokens=False)["input_ids"] for text in ("x", f"{special}x"))
    known = behind[:1] == [tokenizer.convert_tokens_to_ids(special)]
    return special if known and behind[1:] != alone else ""
