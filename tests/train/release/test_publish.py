"""Publishing models: what arrives is what was trained or merged, under a card, without a trace of this machine."""

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hub as double
import pytest
import torch
import yaml
from finished import COUNTS, finished
from hub import READER, Hub
from transformers import AutoModelForCausalLM

from collectors.errors import ArtefactError, CatalogError, RemoteError
from pipeline import folder
from train.base import model
from train.methods import save
from train.mixture import Mixture
from train.recipe import Recipe
from train.release import merge
from train.release import publish as publishing
from train.release.card import card

With = Callable[..., Recipe]

pytestmark = [
    # huggingface_hub 2.4 hands httpx2 the files it uploads by an argument that httpx2 has renamed.
    pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"),  # peft's own
]

publish = functools.partial(publishing.publish, wait=lambda seconds: None)
LORA = {"name": "lora", "r": 4, "alpha": 8, "dropout": 0.1}
ADAPTER = [
    "README.md",
    "adapter_config.json",
    "adapter_model.safetensors",
    "chat_template.jinja",
    "loss.png",
    "manifest.json",
    "metrics.jsonl",
    "tokenizer.json",
    "tokenizer_config.json",
]


@pytest.fixture(autouse=True)
def _weights_are_large(monkeypatch: pytest.MonkeyPatch, without_hub: None) -> None:
    """The Hub keeps safetensors as large objects, however small they are; and here it is spoken to."""
    monkeypatch.setattr(double, "LARGE", (*double.LARGE, ".safetensors"))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)


@pytest.fixture
def run(mixed: Mixture, tiny_base: Path, tmp_path: Path, recipe_with: With) -> Path:
    return finished(tmp_path, mixed, "number-words", tiny_base, recipe_with(method=LORA))


def published(hub: Hub, name: str = "me/words") -> dict[str, bytes]:
    """The files of a repository, without the one the Hub adds."""
    return {path: data for path, data in hub.files(name, "model").items() if path != ".gitattributes"}


def content(place: Path) -> dict[str, bytes]:
    return {str(path.relative_to(place)): path.read_bytes() for path in place.rglob("*") if path.is_file()}


def test_what_arrives_is_what_a_local_folder_holds(hub: Hub, run: Path, tmp_path: Path, said: list[str]) -> None:
    publish(run, repo="me/words", to=None, say=said.append)
    publish(run, repo=None, to=tmp_path / "tree", say=said.append)
    assert published(hub) == content(tmp_path / "tree")
    assert sorted(published(hub)) == ADAPTER
    assert hub.repos["models/me/words"].private
    assert said == [f"{hub.url}/me/words: 9 of 9 files sent, private", f"{tmp_path / 'tree'}: 9 files written"]


def test_no_path_of_this_machine_is_published(hub: Hub, run: Path, tiny_base: Path) -> None:
    assert str(tiny_base).encode() in (run / "adapter" / "adapter_config.json").read_bytes()
    publish(run, repo="me/words", to=None)
    for path, data in published(hub).items():
        assert str(tiny_base.parent).encode() not in data, path
    assert json.loads(published(hub)["adapter_config.json"])["base_model_name_or_path"] == "tiny"


def test_the_published_adapter_works_on_its_base(hub: Hub, run: Path, tiny_base: Path, tmp_path: Path) -> None:
    publish(run, repo=None, to=tmp_path / "tree")
    ids = torch.tensor([[5, 17, 80]])
    recipe = Recipe.model_validate(json.loads((run / "manifest.json").read_text(encoding="utf-8"))["recipe"])
    ours = save.load(model.load(tiny_base, recipe), tmp_path / "tree")
    theirs = save.load(model.load(tiny_base, recipe), run / "adapter")
    with torch.no_grad():
        assert torch.equal(ours(input_ids=ids).logits, theirs(input_ids=ids).logits)


def test_a_second_push_sends_nothing_and_a_public_one_is_asked_for(hub: Hub, run: Path, said: list[str]) -> None:
    publish(run, repo="me/words", to=None)
    hub.requests.clear()
    publish(run, repo="me/words", to=None, say=said.append)
    assert said == [f"{hub.url}/me/words: up to date, private"]
    assert hub.calls("PUT") == []
    with pytest.raises(RemoteError, match=r"me/words on .* is private; leave out --public"):
        publish(run, repo="me/words", to=None, public=True)
    publish(run, repo="me/open", to=None, public=True)
    assert not hub.repos["models/me/open"].private


def test_a_push_that_was_cut_goes_on_where_it_ended(hub: Hub, run: Path, said: list[str]) -> None:
    hub.fail("POST", "/commit/", status=500, times=6)
    with pytest.raises(RemoteError, match=r"the server fails; push again later"):
        publish(run, repo="me/words", to=None)
    assert published(hub) == {}
    sent = len(hub.calls("PUT"))
    assert sent == 2  # the weights and the curve
    publish(run, repo="me/words", to=None, say=said.append)
    assert len(hub.calls("PUT")) == sent
    assert sorted(published(hub)) == ADAPTER


@pytest.mark.parametrize(("method", "path"), [("PUT", "/lfs/"), ("POST", "/commit/"), ("GET", "/tree/")])
def test_an_interruption_is_overcome(hub: Hub, run: Path, method: str, path: str) -> None:
    hub.fail(method, path, cut=True)
    publish(run, repo="me/words", to=None)
    assert sorted(published(hub)) == ADAPTER


def test_a_dry_run_lists_the_files_and_asks_nobody(hub: Hub, run: Path, tmp_path: Path, said: list[str]) -> None:
    publish(run, repo="me/words", to=None, dry=True, say=said.append)
    publish(run, repo=None, to=tmp_path / "tree", dry=True, say=said.append)
    assert [line.split()[-1] for line in said] == [*ADAPTER, *ADAPTER]
    assert hub.calls() == []
    assert not (tmp_path / "tree").exists()


def test_a_merged_model_is_published_with_its_own_card(hub: Hub, run: Path, tmp_path: Path, said: list[str]) -> None:
    merge.merge(run, tmp_path / "merged", say=said.append)
    theirs = {"notes.md": b"mine", "model-00001-of-00002.safetensors": b"old", "model.safetensors.index.json": b"{}"}
    hub.add("me/words", theirs, private=True, kind="model")
    publish(run, repo="me/words", to=None, merged=tmp_path / "merged", say=said.append)
    assert published(hub) == content(tmp_path / "merged") | {"notes.md": b"mine"}
    front = yaml.safe_load(published(hub)["README.md"].decode().split("---\n")[1])
    assert (front["library_name"], front["license_name"]) == ("transformers", "mixed")
    AutoModelForCausalLM.from_pretrained(tmp_path / "merged")


def test_a_merged_model_of_another_run_is_told(
    run: Path, mixed: Mixture, tiny_base: Path, tmp_path: Path, recipe_with: With
) -> None:
    other = finished(tmp_path, mixed, "other", tiny_base, recipe_with(method=LORA | {"alpha": 16}))
    merge.merge(other, tmp_path / "merged")
    with pytest.raises(ArtefactError, match=r"was merged of another run \(other\) than number-words"):
        publish(run, repo="me/words", to=None, merged=tmp_path / "merged")
    with pytest.raises(ArtefactError, match=r"holds no merged model; merge the run into it first"):
        publish(run, repo="me/words", to=None, merged=tmp_path)


def test_a_folder_is_replaced_only_by_a_model(run: Path, tmp_path: Path, said: list[str]) -> None:
    place = tmp_path / "tree"
    publish(run, repo=None, to=place)
    publish(run, repo=None, to=place, say=said.append)
    assert said == [f"{place}: up to date"]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear", encoding="utf-8")
    with pytest.raises(
        ArtefactError, match=r"holds something else than a published model; name a new folder with --to"
    ):
        publish(run, repo=None, to=tmp_path / "mine")
    assert content(tmp_path / "mine") == {"letter.txt": b"dear"}


@pytest.mark.parametrize("repo", ["words", "me/words/more", "me/", "-me/words", "me/words.git"])
def test_a_repository_is_owner_and_name(run: Path, repo: str) -> None:
    with pytest.raises(RemoteError, match=r"must be owner/name, .*, as in me/llama-belle-lora"):
        publish(run, repo=repo, to=None)


def test_where_to_is_said_once(run: Path, tmp_path: Path) -> None:
    for repo, to in ((None, None), ("me/words", tmp_path / "tree")):
        with pytest.raises(CatalogError, match=r"either --repo OWNER/NAME or --to DIR"):
            publish(run, repo=repo, to=to)


def test_who_may_not_write_is_told_without_the_token(hub: Hub, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", READER)
    with pytest.raises(RemoteError, match=r"this token may not write there; use one with write access to me") as told:
        publish(run, repo="me/words", to=None)
    assert READER not in str(told.value)


# ---- cards

METHODS: list[tuple[dict[str, Any], str]] = [
    (
        LORA | {"train_whole": ["lm_head"]},
        "LoRA, r 4, alpha 8, dropout 0.1, on all linear layers; trained whole: lm_head",
    ),
    (LORA | {"dora": True}, "DoRA, r 4"),
    ({"name": "adalora", "initial_r": 6, "r": 4}, "AdaLoRA, from rank 6 to 4 in the mean"),
    ({"name": "prefix", "tokens": 3, "hidden": 8}, "prefix tuning, 3 tokens through a projection of 8"),
    ({"name": "p-tuning", "tokens": 3, "hidden": 8}, "p-tuning, 3 tokens made by an MLP of 8"),
    ({"name": "prompt", "tokens": 3, "text": "Say"}, "prompt tuning, 3 tokens, beginning as `Say`"),
    (
        {"name": "sequential-adapter", "bottleneck": 4},
        "sequential bottleneck adapters at the input and output of each MLP",
    ),
    (
        {"name": "parallel-adapter", "bottleneck": 4},
        "parallel bottleneck adapters on query, key and value, 4 wide, tanh",
    ),
    ({"name": "full", "only": ["lm_head"]}, "no adapter: lm_head of the base trained"),
]


@pytest.mark.parametrize(("method", "words"), METHODS, ids=[method["name"] for method, _ in METHODS])
def test_a_card_tells_base_mixture_licences_method_and_measures(
    method: dict[str, Any], words: str, mixed: Mixture, tiny_base: Path, tmp_path: Path, recipe_with: With
) -> None:
    settings: dict[str, Any] = {"method": method, "packing": False}
    if method["name"] not in {"full", "adalora"}:
        settings["quantisation"] = {"kind": "nf4"}
    made = finished(tmp_path, mixed, "number-words", tiny_base, recipe_with(**settings))
    publish(made, repo=None, to=tmp_path / "tree")
    _, front, text = (tmp_path / "tree" / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    facts = yaml.safe_load(front)
    whole = method["name"] == "full"
    assert facts["library_name"] == ("transformers" if whole else "peft")
    assert (facts["license"], facts["license_name"], facts["language"]) == ("other", "mixed", ["en", "zh"])
    assert method["name"] in facts["tags"]
    for said in (
        "`tiny`",
        mixed.fingerprint,
        words,
        "CC-BY-NC-4.0",
        "Apache-2.0",
        "4.2000 nats a token",
        "6 steps, which are 1.5",
    ):
        assert said in text, said
    assert ("4 bits, nf4 with quantised scales" in text) == ("quantisation" in settings)
    assert ("PeftModel" in text) != whole
    assert ("import train.methods.attach" in text) == method["name"].endswith("-adapter")


def test_a_base_on_the_hub_is_linked_at_its_revision(mixed: Mixture, recipe_with: With) -> None:
    code = "0123456789abcdef0123456789abcdef01234567"
    recipe = recipe_with(base="acme/llama", revision="main", trust_remote_code=code)
    text = card("words", recipe, mixed, {"train": COUNTS, "holdout": COUNTS}, [{"step": 6, "loss": 1.0, "epoch": 1.5}])
    facts = yaml.safe_load(text.split("---\n")[1])
    assert (facts["base_model"], facts["base_model_relation"]) == ("acme/llama", "adapter")
    asked = f'from_pretrained("acme/llama", revision="main", trust_remote_code=True, code_revision="{code}")'
    assert asked in text
    assert "held-out" not in text


def test_the_base_made_on_the_spot_goes_with_its_adapter(run: Path, tiny_base: Path, tmp_path: Path) -> None:
    manifest = folder.manifest(run)
    assert manifest is not None
    (run / "base").mkdir()
    (run / "base" / "config.json").write_text("{}", encoding="utf-8")
    recipe = manifest["recipe"] | {"base": "tiny-random-llama"}
    folder.write_manifest(run, manifest | {"recipe": recipe})
    told = run / "adapter" / "README.md"
    told.write_text(told.read_text(encoding="utf-8").replace(f'"{tiny_base.name}"', '"../base"'), encoding="utf-8")
    publish(run, repo=None, to=tmp_path / "tree")
    assert (tmp_path / "tree" / "base" / "config.json").is_file()
    assert 'from_pretrained("base")' in (tmp_path / "tree" / "README.md").read_text(encoding="utf-8")
