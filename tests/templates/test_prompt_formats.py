"""Every shipped prompt spelled out, and the chat template that comes with a base."""

import re
from pathlib import Path

import pytest

from collectors.errors import TemplateError
from templates.prompt import Message, Prompt, load, names, own

TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}
BARE = "Below is an instruction that describes a task. Write a response that appropriately completes the request."
TALK: list[Message] = [
    {"role": "user", "content": "Translate.", "input": "猫"},
    {"role": "assistant", "content": "cat"},
    {"role": "user", "content": "And 狗?"},
]
ANSWER: Message = {"role": "assistant", "content": "dog 🐕"}
SYSTEM: Message = {"role": "system", "content": "Be brief."}

VICUNA = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions."
)
PAIRED = (
    "Below is an instruction that describes a task, paired with an input that provides further context. "
    "Write a response that appropriately completes the request."
)
ROUNDS = (
    "Below is an multi-round dialogue between human and assistant. Write a response as an assistant that appropriately "
    "completes the human request in each round by incorporating previous context."
)
ZH = "下面是一条描述任务的指令，并附有一段提供背景的输入。请写出恰当完成该任务的回答。"
QWEN = "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n"

ASKED = {
    "alpaca": f"<s>{PAIRED}\n\n### Instruction:\nTranslate.\n\n### Input:\n猫\n\n### Response:cat</s>"
    "\n\n### Instruction:\nAnd 狗?\n\n### Response:",
    "alpaca-cot": f"<s>{ROUNDS}\n\n### Human: Translate.\n猫\n</s>### Assistant: cat\n</s>### Human: And 狗?\n</s>"
    "### Assistant:",
    "alpaca-zh": f"<s>{ZH}\n\n### 指令：\nTranslate.\n\n### 输入：\n猫\n\n### 回答：\ncat</s>"
    "\n\n### 指令：\nAnd 狗?\n\n### 回答：\n",
    "baichuan": "<reserved_102>Translate.\n猫<reserved_103>cat<reserved_102>And 狗?<reserved_103>",
    "baichuan2": "<reserved_106>Translate.\n猫<reserved_107>cat<reserved_106>And 狗?<reserved_107>",
    "belle": "<s>Human: \nTranslate.\n猫\n\nAssistant: \ncat</s>Human: \nAnd 狗?\n\nAssistant: \n",
    "chatglm": "[Round 0]\n问：Translate.\n猫\n答：cat\n[Round 1]\n问：And 狗?\n答：[gMASK]<sop>",
    "chatglm2": "[gMASK]sop[Round 1]\n\n问：Translate.\n猫\n\n答：cat\n\n[Round 2]\n\n问：And 狗?\n\n答：",
    "chatml": "<s><|im_start|>user\nTranslate.\n猫<|im_end|>\n<|im_start|>assistant\ncat<|im_end|>\n"
    "<|im_start|>user\nAnd 狗?<|im_end|>\n<|im_start|>assistant\n",
    "chinese-llama-alpaca": f"<s>{BARE}\n\n### Instruction:\nTranslate.\n猫\n\n### Response: cat</s>"
    "\n\n### Instruction:\nAnd 狗?\n\n### Response: ",
    "gemma3": "<s><start_of_turn>user\nTranslate.\n猫<end_of_turn>\n<start_of_turn>model\ncat<end_of_turn>\n"
    "<start_of_turn>user\nAnd 狗?<end_of_turn>\n<start_of_turn>model\n",
    "glm4": "[gMASK]<sop><|user|>\nTranslate.\n猫<|assistant|>\ncat<|user|>\nAnd 狗?<|assistant|>",
    "internlm": "<s><|User|>:Translate.\n猫<eoh>\n<|Bot|>:cat<eoa>\n<|User|>:And 狗?<eoh>\n<|Bot|>:",
    "llama2-chat": "<s>[INST] Translate.\n猫 [/INST] cat </s><s>[INST] And 狗? [/INST]",
    "llama3": "<s><|start_header_id|>user<|end_header_id|>\n\nTranslate.\n猫<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\ncat<|eot_id|>"
    "<|start_header_id|>user<|end_header_id|>\n\nAnd 狗?<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
    "mistral-instruct": "<s>[INST] Translate.\n猫[/INST] cat</s>[INST] And 狗?[/INST]",
    "moss": "Be brief.\n<|Human|>: Translate.\n猫<eoh>\n<|MOSS|>: cat<eom>\n<|Human|>: And 狗?<eoh>\n<|MOSS|>:",
    "qwen": f"<s>{QWEN}<|im_start|>user\nTranslate.\n猫<|im_end|>\n<|im_start|>assistant\ncat<|im_end|>\n"
    "<|im_start|>user\nAnd 狗?<|im_end|>\n<|im_start|>assistant\n",
    "vicuna": f"<s>{VICUNA} USER: Translate.\n猫 ASSISTANT: cat</s>USER: And 狗? ASSISTANT:",
}
ANSWERED = {
    "alpaca": "dog 🐕</s>",
    "alpaca-cot": " dog 🐕</s>",
    "alpaca-zh": "dog 🐕</s>",
    "baichuan": "dog 🐕</s>",
    "baichuan2": "dog 🐕</s>",
    "belle": "dog 🐕</s>",
    "chatglm": "dog 🐕<eop>",
    "chatglm2": "dog 🐕</s>",
    "chatml": "dog 🐕<|im_end|>\n",
    "chinese-llama-alpaca": "dog 🐕</s>",
    "gemma3": "dog 🐕<end_of_turn>\n",
    "glm4": "\ndog 🐕<|user|>",
    "internlm": "dog 🐕<eoa>\n",
    "llama2-chat": " dog 🐕 </s>",
    "llama3": "dog 🐕<|eot_id|>",
    "mistral-instruct": " dog 🐕</s>",
    "moss": " dog 🐕<eom>\n",
    "qwen": "dog 🐕<|im_end|>\n",
    "vicuna": " dog 🐕</s>",
}
HELLO: Message = {"role": "user", "content": "Hello."}
INSTRUCTED = {
    "alpaca": "<s>Be brief.\n\n### Instruction:\nHello.\n\n### Response:",
    "alpaca-cot": "<s>Be brief.\n\n### Instruction:\nHello.\n\n### Response:",
    "alpaca-zh": "<s>Be brief.\n\n### 指令：\nHello.\n\n### 回答：\n",
    "baichuan": "Be brief.<reserved_102>Hello.<reserved_103>",
    "baichuan2": "Be brief.<reserved_106>Hello.<reserved_107>",
    "belle": "<s>Be brief.\n\nHuman: \nHello.\n\nAssistant: \n",
    "chatglm": "Be brief.\nHello.[gMASK]<sop>",
    "chatglm2": "[gMASK]sopBe brief.\n\n[Round 1]\n\n问：Hello.\n\n答：",
    "chatml": "<s><|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHello.<|im_end|>\n<|im_start|>assistant\n",
    "chinese-llama-alpaca": "<s>Be brief.\n\n### Instruction:\nHello.\n\n### Response: ",
    "gemma3": "<s><start_of_turn>user\nBe brief.\n\nHello.<end_of_turn>\n<start_of_turn>model\n",
    "glm4": "[gMASK]<sop><|system|>\nBe brief.<|user|>\nHello.<|assistant|>",
    "internlm": "<s><|System|>:Be brief.\n<|User|>:Hello.<eoh>\n<|Bot|>:",
    "llama2-chat": "<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\nHello. [/INST]",
    "llama3": "<s><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>"
    "<|start_header_id|>user<|end_header_id|>\n\nHello.<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
    "mistral-instruct": "<s>[INST] Be brief.\n\nHello.[/INST]",
    "moss": "Be brief.\n<|Human|>: Hello.<eoh>\n<|MOSS|>:",
    "qwen": "<s><|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHello.<|im_end|>\n<|im_start|>assistant\n",
    "vicuna": "<s>Be brief. USER: Hello. ASSISTANT:",
}


@pytest.mark.parametrize("name", names())
def test_a_conversation_asked_and_answered(name: str) -> None:
    talk = [SYSTEM, *TALK] if name == "moss" else TALK  # its own head is a page long
    assert load(name).render(talk, add_generation_prompt=True, **TOKENS) == ASKED[name]
    assert load(name).render([*talk, ANSWER], **TOKENS) == ASKED[name] + ANSWERED[name]


@pytest.mark.parametrize("name", names())
def test_a_request_behind_a_system_message(name: str) -> None:
    assert load(name).render([SYSTEM, HELLO], add_generation_prompt=True, **TOKENS) == INSTRUCTED[name]


def test_one_exchange_stands_without_rounds() -> None:
    assert load("chatglm").render([HELLO, ANSWER]) == "Hello.[gMASK]<sop>dog 🐕<eop>"
    assert load("alpaca-cot").render([HELLO, ANSWER], **TOKENS) == (
        f"<s>{BARE}\n\n### Instruction:\nHello.\n\n### Response: dog 🐕 </s>"
    )


def test_moss_begins_with_its_meta_instruction() -> None:
    text = load("moss").render([HELLO], add_generation_prompt=True)
    assert text.startswith("You are an AI assistant whose name is MOSS.\n- MOSS is a conversational language model ")
    assert text.endswith("\nCapabilities and tools that MOSS can possess.\n<|Human|>: Hello.<eoh>\n<|MOSS|>:")
    assert "developed by Fudan University. It is designed to be helpful, honest, and harmless.\n- MOSS can" in text
    assert "such as English and 中文. MOSS can perform any language-based tasks.\n- MOSS must refuse" in text
    assert 'phrases like "in this context a human might say...", "some people might think...", etc.\n' in text
    assert "comprehensively covering mutiple aspects.\n- It apologizes and accepts the user's suggestion if" in text


def test_alpaca_cot_has_the_rounds_of_its_project() -> None:
    """uniform_finetune.py makes them of an instruction that holds the whole conversation, by these replacements."""
    instruction = "Human:Translate.\n猫\nAssistant:cat\nHuman:And 狗?\nAssistant:"
    marked = instruction.replace("Human:", "### Human: ").replace("Assistant:", "### Assistant: ")
    text = re.sub(r"(?<!\n)\n### ", "\n</s>### ", f"{ROUNDS}\n\n{marked}dog 🐕") + "</s>"
    assert load("alpaca-cot").render([*TALK, ANSWER], **TOKENS) == f"<s>{text}"


def test_formats_declare_their_cuts_and_tokens() -> None:
    assert [name for name in names() if load(name).cuts == "inside"] == ["alpaca-cot", "chinese-llama-alpaca"]
    assert [name for name in names() if load(name).apart] == ["chinese-llama-alpaca"]
    assert load("chatml").special == {"<|im_start|>", "<|im_end|>"}
    assert load("moss").special == {"<eoh>", "<eom>"}
    assert load("alpaca").special == frozenset()
    silent = Prompt("trial", "{{ messages }}")
    assert (silent.cuts, silent.special, silent.apart) == ("inside", frozenset(), False)


@pytest.mark.parametrize("name", names())
def test_a_format_writes_the_special_tokens_it_declares(name: str) -> None:
    text = load(name).render([SYSTEM, *TALK, ANSWER], **TOKENS) + load(name).render([HELLO], add_generation_prompt=True)
    assert [token for token in sorted(load(name).special) if token not in text] == []
    assert set(re.findall(r"<\|[a-z_]+\|>|<reserved_\d+>|<e\w\w>", text)) <= load(name).special


def test_the_page_on_prompts_lists_every_format_with_its_cuts() -> None:
    page = (Path(__file__).parents[2] / "docs/prompts.md").read_text(encoding="utf-8")
    rows = [[cell.strip(" `") for cell in line.split("|")[1:]] for line in page.splitlines() if line.startswith("| `")]
    assert [(row[0], row[2]) for row in rows] == [(name, load(name).cuts) for name in names()]


def test_names_of_bases_that_speak_chatml() -> None:
    assert load("internlm2") == load("internlm3") == load("chatml")


CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' "
    "+ '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def test_own_with_marks_is_taken_as_it_is() -> None:
    text = "{% for message in messages %}{%- generation -%}{{ message.content }}{% endgeneration %}{% endfor %}"
    assert own(text) == Prompt("own", text)
    assert own({"default": text, "tool_use": "{{ tools }}"}) == Prompt("own", text)


def test_own_without_marks_is_the_shipped_prompt_that_renders_the_same() -> None:
    assert own(CHATML) == Prompt("own", load("chatml").text)
    assert own("{{ bos_token }}" + CHATML, bos_token="<s>", eos_token="</s>") == Prompt("own", load("chatml").text)


@pytest.mark.parametrize(
    ("text", "bos_token", "said"),
    [
        pytest.param(None, None, "comes with no chat template; name one of alpaca, ", id="none"),
        pytest.param({"tool_use": "{{ tools }}"}, None, "comes with no chat template; ", id="no default"),
        pytest.param("{{ messages | length }}", None, "put the marks into it, or name alpaca, ", id="like none"),
        pytest.param(CHATML, "<s>", "put the marks into it, or name alpaca, ", id="without the start token"),
        pytest.param(f"{{{{ tools }}}}{CHATML}", None, "or name prompt: chatml, which serves plain", id="takes more"),
        pytest.param(
            CHATML.replace(
                " + '<|im_end|>' ", " }}{% if not loop.last or add_generation_prompt %}{{ '<|im_end|>' "
            ).replace("}}{% endfor %}", "}}{% endif %}{% endfor %}"),
            None,
            "or name prompt: chatml, which serves plain",
            id="leaves the last answer open",
        ),
        pytest.param(
            CHATML.replace("message['content']", "(message['content'] if message['content'] is string else 'a')"),
            None,
            "or name prompt: chatml, which serves plain",
            id="takes other contents",
        ),
        pytest.param("{% for %}", None, "Expected an expression", id="no Jinja"),
    ],
)
def test_own_that_cannot_be_marked_is_one_line(text: str | None, bos_token: str | None, said: str) -> None:
    with pytest.raises(TemplateError, match=rf"^prompt 'own': [^\n]*{re.escape(said)}[^\n]*$"):
        own(text, bos_token=bos_token)


TOOLS = "{% if tools %}{{ tools | tojson }}{% endif %}"
PUBLISHED = {
    "chatml": "{{ bos_token }}" + CHATML,
    "gemma3": "{{ bos_token }}{% set told = messages[0]['role'] == 'system' %}"
    "{% for m in (messages[1:] if told else messages) %}"
    "{{ '<start_of_turn>' ~ ('model' if m['role'] == 'assistant' else m['role']) ~ '\n' }}"
    "{% if told and loop.first %}{{ messages[0]['content'] ~ '\n\n' }}{% endif %}"
    "{% if m['content'] is string %}{{ m['content'] | trim }}{% else %}{{ m['content'][0]['text'] | trim }}{% endif %}"
    "{{ '<end_of_turn>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}",
    "llama3": "{% for m in messages %}{{ bos_token if loop.first }}{{ '<|start_header_id|>' + m['role'] + "
    "'<|end_header_id|>\n\n' + m['content'] | trim + '<|eot_id|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}",
}
"""Chat templates that render what published ones do."""


@pytest.mark.parametrize("name", PUBLISHED)
def test_own_names_the_format_that_serves_as_it_does(name: str) -> None:
    with pytest.raises(TemplateError, match=f"or name prompt: {name}, which serves plain conversations as it does$"):
        own(TOOLS + PUBLISHED[name], bos_token="<bos>", eos_token="<eos>")


def test_own_that_takes_no_text_parts_is_replaced() -> None:
    assert own(PUBLISHED["llama3"], bos_token="<bos>", eos_token="<eos>") == Prompt("own", load("llama3").text)
    with pytest.raises(TemplateError, match="or name prompt: gemma3, which"):
        own(PUBLISHED["gemma3"], bos_token="<bos>", eos_token="<eos>")
