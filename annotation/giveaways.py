"""Outputs that say who wrote them ("as Claude, …", "I am ChatGPT"), found before anybody is asked to rank them.

It looks for what a model says of itself, not for names alone: an answer may well be about Claude Monet or about OpenAI.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache

LONGEST = 200
SHORTEST_NAME = 3

NAMES = r"""chat ?gpt|(?:instruct)?gpt|claude|gemini|google bard|gemma|llama|alpaca|vicuna|mistral|mixtral|qwen
|tongyi qianwen|deepseek|grok|copilot|bing chat|ernie bot|chatglm|kimi|doubao|pangu|falcon|command r|pythia|dolly
|open ?assistant|文心一言|通义千问|豆包|智谱清言|讯飞星火|腾讯混元|盘古|小冰""".replace("\n", "")
MAKERS = r"""open ?ai|anthropic|google|deepmind|meta ai|meta|microsoft|alibaba(?: cloud)?|mistral ai|deepseek|xai|baidu
|tencent|bytedance|moonshot ai|zhipu(?: ai)?|cohere|eleutherai|laion|stability ai|databricks|hugging face
|阿里巴巴|阿里云|达摩院|百度|腾讯|字节跳动|月之暗面|智谱(?:ai)?|深度求索|科大讯飞|华为""".replace("\n", "")
VERSION = r"(?:[ -]?(?:v?\d[\w.]*|o\d|sonnet|opus|haiku|pro|plus|ultra|turbo|chat|instruct))*"
MADE = r"(?:created|developed|trained|made|built|designed|powered)(?: and \w+)? by (?:\w+ (?:at|from) )?(?:the )?"


def giveaway(text: str, *, generator: str = "") -> str:
    """The words with which the text says that one of the known models, or `generator`, wrote it; empty if none."""
    generator = generator.strip()
    own = [generator.casefold()] if len(generator) >= SHORTEST_NAME else []
    if not any(map(text.casefold().__contains__, (*_names(), *own))):
        return ""
    found = _pattern(generator).search(text)
    return found.group().strip()[:LONGEST] if found else ""


@cache
def _names() -> list[str]:
    """The longest fixed part of each name and maker. A text without any matches nothing: most texts, told quickly."""
    optional = r"\(\?:[^)]*\)\?| \?"
    parts = {max(re.split(optional, name), key=len) for name in f"{NAMES}|{MAKERS}".split("|")}
    return [part for part in parts if not any(other != part and other in part for other in parts)]


@lru_cache(maxsize=256)
def _pattern(generator: str) -> re.Pattern[str]:
    own = [re.escape(generator)] if len(generator) >= SHORTEST_NAME else []
    name = f"(?i:(?:{'|'.join([NAMES, *own])}){VERSION})(?![A-Za-z0-9])"
    alone = rf"{name}(?!\s+[A-Z][a-z])"  # "I am Claude Monet" is somebody else
    maker = f"(?i:{MAKERS})(?![A-Za-z0-9])"
    return re.compile(
        "|".join(
            [
                rf"(?i:\bas )[\"“*]*{name}(?=[\"”*]*\s*[,;:(–—-]|\s+(?i:I|my)\b|\s+(?i:{MADE}))",
                rf"(?i:\b(?:I am|I['’]m|my name is|call me|I go by))\s+(?i:called )?[\"“*]*{alone}",
                rf"(?i:\b(?:I|I['’]m|me|model|assistant|chatbot|AI)\b[\w ,'’-]{{0,60}}?\b{MADE}){maker}",
                rf"(?i:\bmy (?:creators?|developers?|makers?|trainers?|team) (?:at|from|is|are) ){maker}",
                rf"\A\s*[*\"“]*{name}[*\"”]*\s*[:：]",
                rf"(?:我是|我叫|我的名字(?:是|叫)|作为|身为)[“「《* ]*{name}",
                rf"(?:我是|我由|我被)[^。！？\n]{{0,20}}?{maker}[^。！？\n]{{0,12}}?(?:开发|训练|研发|研制|创造|打造|推出)",
            ]
        )
    )
