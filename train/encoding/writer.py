"""Conversations to ids, the mask of what is trained growing beside them.

A rendered conversation is cut at the ends of its trained spans (an answer with its end token); every piece is encoded
by itself and carries its mask with it, so nothing is searched for afterwards. The prompt before the first span is one
piece: its ids are what the model sees when it is served with `add_generation_prompt=True`. Before a later span that
holds only if joining the pieces' ids is the same as encoding their joined text. An answer's end token parts the texts
on its two sides; at an answer's beginning the two encodings are compared. Where the answer changes its prompt's ids
(one that starts with a blank line, say) it is not trained but left in the prompt of the next, which is counted; the
last answer always stands behind its whole prompt's ids.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from collectors.errors import TrainingError
from templates.prompt import Prompt
from train.encoding.coded import WIDTH, Coded, Flags, RawIds, flagged, flat, joined
from train.encoding.coder import Behind, Coder, SlowCoder, Text
from train.encoding.render import Conversation, Cut, Renderer
from train.encoding.spelling import Spelling

if TYPE_CHECKING:  # workers do without the second that its import takes
    from transformers import PreTrainedTokenizerBase

AnyCoder = Coder | SlowCoder | Spelling

NEAR: Final = 32
"""Characters on either side of where an answer begins that are encoded together, and compared with its own ids."""

EDGE: Final = 3
"""The last ids of them that are not compared, since the text goes on there."""


class Writer:
    """Writes conversations for one tokenizer and prompt format; refuses pairs of them that do not go together."""

    def __init__(
        self, tokenizer: "PreTrainedTokenizerBase", prompt: Prompt, loss_on: Literal["all", "last"] = "all"
    ) -> None:
        _check_tokens(tokenizer, prompt)
        self.prompt = prompt
        self.renderer = Renderer(prompt, tokenizer.special_tokens_map, loss_on)
        backend, start = getattr(tokenizer, "backend_tokenizer", None), tokenizer.bos_token or tokenizer.eos_token
        self.portable = backend is not None
        """Whether it can be handed to other processes."""
        fast = None if backend is None else Coder(backend, start)
        self.coder = fast or SlowCoder(lambda texts: tokenizer(texts, add_special_tokens=False)["input_ids"], start)
        self._blanks = any(anchor.text for anchor in self.coder.anchors)
        """Whether the tokenizer puts blanks before texts, so that it matters what a piece stands behind."""
        self._special = tuple(sorted(_special(tokenizer, prompt)))
        self.spelling = Spelling(self._special, fast, tokenizer.unk_token)
        self._end = self._end_token(tokenizer)

    def write(self, conversations: Sequence[Conversation]) -> Coded:
        """Encode conversations whole; those that spell a special token apart from the others.

        `TemplateError` for a conversation that the format refuses.
        """
        spelt = self._spelt(conversations)
        plain = self._encoded([conversations[row] for row in np.flatnonzero(~spelt).tolist()], self.coder)
        if not spelt.any():
            return plain
        disguised = [self.spelling.disguised(conversations[row]) for row in np.flatnonzero(spelt).tolist()]
        apart = self._encoded([one for one, _ in disguised], self.spelling)
        lost = apart.lost | [not sure for _, sure in disguised]
        both = joined([plain, replace(apart, lost=lost, spelt=np.ones_like(lost))])
        return both.taken(np.argsort(np.concatenate([np.flatnonzero(~spelt), np.flatnonzero(spelt)])))

    def _spelt(self, conversations: Sequence[Conversation]) -> Flags:
        """Which conversations spell a special token."""
        texts = [[text for one in talk for text in one.values() if isinstance(text, str)] for talk in conversations]
        # Hardly any do, and to look through them all at once is several times as fast.
        if not self.spelling.found("\n".join(chain.from_iterable(texts))):
            return np.zeros(len(texts), bool)
        return np.array([any(map(self.spelling.found, each)) for each in texts], bool)

    def _encoded(self, conversations: Sequence[Conversation], coder: AnyCoder) -> Coded:
        """Encode conversations whole, piece by piece."""
        cuts = self.renderer.cut(conversations)
        pieces = coder.ids([text for cut in cuts for text in self._placed(cut)])
        counts = np.fromiter(map(len, cuts), np.int64, len(cuts))
        first = np.concatenate([[0], np.cumsum(counts)])
        trained = (np.arange(len(pieces)) - np.repeat(first[:-1], counts)) % 2 == 1
        mended = flagged(sorted(self._mend(cuts, first.tolist(), pieces, coder)), len(cuts))
        sizes = np.fromiter(map(len, pieces), np.int64, len(pieces)) // WIDTH
        ids = flat(pieces)
        ends = np.concatenate([[0], np.cumsum(sizes)])[first]
        # Both ways of encoding give ids from 0 on; what cannot be written stands as one that is less.
        lost = np.diff(np.concatenate([[0], np.cumsum(ids < 0)])[ends]) > 0
        return Coded(
            ids=ids,
            mask=np.repeat(trained, sizes),
            lengths=np.diff(ends),
            mended=mended,
            spelt=np.zeros(len(cuts), bool),
            lost=lost,
        )

    def _placed(self, cut: Cut) -> list[Text]:
        """Each piece of a conversation, and what it stands behind."""
        if not self._blanks:
            return [(text, Behind.NOTHING) for text in cut]
        placed = [(cut[0], Behind.NOTHING)]
        for place in range(1, len(cut)):
            placed.append((cut[place], self._behind(cut[place - 1], answer=place % 2 == 1)))
        return placed

    def _behind(self, before: str, *, answer: bool) -> Behind:
        if answer and self.prompt.apart:
            return Behind.NOTHING
        return Behind.TOKEN if before.endswith(self._special) else Behind.TEXT

    def _mend(self, cuts: list[Cut], first: list[int], pieces: list[RawIds], coder: AnyCoder) -> set[int]:
        """Where several answers are trained, have the ids before each be those of serving.

        An answer whose beginning changes the ids of its prompt goes to the prompt of the next one, all but the last.
        Returns the rows that have such.
        """
        mended = set()
        several = [row for row, cut in enumerate(cuts) if len(cut) > 3]
        parted = [row for row in several if self._end and all(one.endswith(self._end) for one in cuts[row][1:-2:2])]
        doubtful = self._doubtful(cuts, parted, first, pieces, coder)
        exchanges = [
            (cuts[row][place - 1] + cuts[row][place], self._placed(cuts[row])[place - 1][1]) for row, place in doubtful
        ]
        for (row, place), together in zip(doubtful, coder.ids(exchanges), strict=True):
            answer = first[row] + place
            prompt = pieces[answer - 1]
            if together.startswith(prompt):
                pieces[answer] = together.removeprefix(prompt)
            else:
                pieces[answer - 1 : answer + 1] = [together, b""]
                mended.add(row)
        whole = sorted(set(several) - set(parted))
        served = coder.ids([("".join(cuts[row][:-2]), Behind.NOTHING) for row in whole])
        for row, prompt in zip(whole, served, strict=True):
            before = slice(first[row], first[row + 1] - 2)
            if b"".join(pieces[before]) != prompt:
                pieces[before] = [*([b""] * (before.stop - before.start - 1)), prompt]
                mended.add(row)
        return mended

    def _doubtful(
        self, cuts: list[Cut], rows: list[int], first: list[int], pieces: list[RawIds], coder: AnyCoder
    ) -> list[tuple[int, int]]:
        """Row and place of the answers, all but the last, that might change ids, by what stands near their start."""
        answers = [(row, place) for row in rows for place in range(1, len(cuts[row]) - 2, 2)]
        before = [_last_line(cuts[row][place - 1][-NEAR:]) for row, place in answers]
        alike = dict.fromkeys(before)  # most prompts end alike
        known = dict(zip(alike, coder.ids([(text, Behind.TEXT) for text in alike]), strict=True))
        together = coder.ids(
            [(text + cuts[row][place][:NEAR], Behind.TEXT) for text, (row, place) in zip(before, answers, strict=True)]
        )
        doubtful = []
        for (row, place), text, ids in zip(answers, before, together, strict=True):
            begun = len(known[text])
            sure = len(ids) - (EDGE * WIDTH if len(cuts[row][place]) > NEAR else 0)
            apart = known[text] + pieces[first[row] + place][: max(0, sure - begun)]
            if sure <= begun or ids[:sure] != apart:
                doubtful.append((row, place))
        return doubtful

    def _end_token(self, tokenizer: "PreTrainedTokenizerBase") -> str | None:
        """The token that closes an answer, if it parts the texts on its sides.

        `TrainingError` where none closes it: the model would never learn to stop.
        """
        probe: Conversation = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
        (cut,) = self.renderer.cut([probe])
        if len(cut) == 1:
            raise TrainingError(f"prompt format {self.prompt.name}: marks nothing with {{% generation %}} to train on")
        ids = flat(self.coder.ids([(cut[-2], self._behind(cut[-3], answer=True))])).tolist()
        if not ids or ids[-1] not in set(tokenizer.all_special_ids) | set(tokenizer.added_tokens_decoder):
            raise TrainingError(
                f"prompt format {self.prompt.name}: does not close an answer with a special token of this tokenizer; "
                "the model would never learn to stop"
            )
        end = str(tokenizer.convert_ids_to_tokens(ids[-1]))
        return end if cut[-2].endswith(end) and self.coder.barrier(end) else None


def _last_line(text: str) -> str:
    """The last line that has anything in it, with the line breaks behind it."""
    return text[text.rstrip().rfind("\n") + 1 :]


def _special(tokenizer: "PreTrainedTokenizerBase", prompt: Prompt) -> set[str]:
    """The tokens that no text of a data set may become."""
    marked = {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}
    vocabulary = tokenizer.get_vocab()
    return {token for token in marked | set(tokenizer.all_special_tokens) | _written(prompt) if token in vocabulary}


def _written(prompt: Prompt) -> set[str]:
    """The special tokens that a format writes by name."""
    return set(prompt.special) or set(re.findall(r"<\|\w+\|>", prompt.text))


def _check_tokens(tokenizer: "PreTrainedTokenizerBase", prompt: Prompt) -> None:
    """The tokenizer must hold every special token that the format writes."""
    if "eos_token" in prompt.text and tokenizer.eos_token is None:
        raise TrainingError(
            f"prompt format {prompt.name}: ends answers with the tokenizer's end token, and the tokenizer of "
            f"{tokenizer.name_or_path or 'this base'} has none; set eos_token in its tokenizer_config.json"
        )
    vocabulary = tokenizer.get_vocab()
    lacking = sorted(token for token in _written(prompt) if token not in vocabulary)
    if lacking:
        raise TrainingError(
            f"prompt format {prompt.name}: needs {' and '.join(lacking)}, which the tokenizer of "
            f"{tokenizer.name_or_path or 'this base'} does not hold; use prompt: alpaca, or a base that has them"
        )
