"""Chat templates of the kinds that fine-tunes of Mixtral carry, and what transformers makes of them.

    python make_hub.py OUT.json

Needs transformers and jinja2. The templates are written for this file after the formats that the models' cards
describe; none is a copy. A case is [template, conversation, options, text], the text null where the template raises,
with its message behind that where it calls raise_exception.
"""

import json
import sys

import jinja2
import transformers
from transformers.utils.chat_template_utils import _compile_jinja_template

TEMPLATES = {
    "mixtral 8x7b instruct, first": """{{ bos_token }}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Roles must alternate: user, assistant, user') }}{% endif %}{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ message['content'] + eos_token }}{% else %}{{ raise_exception('Only user and assistant roles are known') }}{% endif %}{% endfor %}""",
    "mixtral 8x7b instruct, with system": """{%- if messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}

{{- bos_token }}
{%- for message in loop_messages %}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
        {{- raise_exception('After an optional system message, user and assistant must alternate') }}
    {%- endif %}
    {%- if message["role"] == "user" %}
        {%- if loop.first and system_message is defined %}
            {{- " [INST] " + system_message + "\\n\\n" + message["content"] + " [/INST]" }}
        {%- else %}
            {{- " [INST] " + message["content"] + " [/INST]" }}
        {%- endif %}
    {%- elif message["role"] == "assistant" %}
        {{- " " + message["content"] + eos_token}}
    {%- else %}
        {{- raise_exception("Only user and assistant roles are supported, but for an initial system message") }}
    {%- endif %}
{%- endfor %}
""",
    "mixtral 8x22b instruct, tools": """{%- if messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{%- if not tools is defined %}
    {%- set tools = none %}
{%- endif %}
{%- set user_messages = loop_messages | selectattr("role", "equalto", "user") | list %}

{#- Tool calls and results do not count when turns are checked -#}
{%- set ns = namespace() %}
{%- set ns.index = 0 %}
{%- for message in loop_messages %}
    {%- if not (message.role == "tool" or message.role == "tool_results" or (message.tool_calls is defined and message.tool_calls is not none)) %}
        {%- if (message["role"] == "user") != (ns.index % 2 == 0) %}
            {{- raise_exception("After the optional system message, turns must alternate user/assistant/user/assistant") }}
        {%- endif %}
        {%- set ns.index = ns.index + 1 %}
    {%- endif %}
{%- endfor %}

{{- bos_token }}
{%- for message in loop_messages %}
    {%- if message["role"] == "user" %}
        {%- if tools is not none and (message == user_messages[-1]) %}
            {{- "[AVAILABLE_TOOLS] [" }}
            {%- for tool in tools %}
                {%- set tool = tool.function %}
                {{- '{"type": "function", "function": {' }}
                {%- for key, val in tool.items() if key != "return" %}
                    {%- if val is string %}
                        {{- '"' + key + '": "' + val + '"' }}
                    {%- else %}
                        {{- '"' + key + '": ' + val|tojson }}
                    {%- endif %}
                    {%- if not loop.last %}
                        {{- ", " }}
                    {%- endif %}
                {%- endfor %}
                {{- "}}" }}
                {%- if not loop.last %}
                    {{- ", " }}
                {%- else %}
                    {{- "]" }}
                {%- endif %}
            {%- endfor %}
            {{- "[/AVAILABLE_TOOLS]" }}
        {%- endif %}
        {%- if loop.last and system_message is defined %}
            {{- "[INST] " + system_message + "\\n\\n" + message["content"] + "[/INST]" }}
        {%- else %}
            {{- "[INST] " + message["content"] + "[/INST]" }}
        {%- endif %}
    {%- elif message.tool_calls is defined and message.tool_calls is not none %}
        {{- "[TOOL_CALLS] [" }}
        {%- for tool_call in message.tool_calls %}
            {%- set out = tool_call.function|tojson %}
            {{- out[:-1] }}
            {%- if not tool_call.id is defined or tool_call.id|length != 9 %}
                {{- raise_exception("Tool call IDs must have 9 characters") }}
            {%- endif %}
            {{- ', "id": "' + tool_call.id + '"}' }}
            {%- if not loop.last %}
                {{- ", " }}
            {%- else %}
                {{- "]" + eos_token }}
            {%- endif %}
        {%- endfor %}
    {%- elif message["role"] == "assistant" %}
        {{- " " + message["content"]|trim + eos_token}}
    {%- elif message["role"] == "tool_results" or message["role"] == "tool" %}
        {%- if message.content is defined and message.content.content is defined %}
            {%- set content = message.content.content %}
        {%- else %}
            {%- set content = message.content %}
        {%- endif %}
        {{- '[TOOL_RESULTS] {"content": ' + content|string + ", " }}
        {%- if not message.tool_call_id is defined or message.tool_call_id|length != 9 %}
            {{- raise_exception("Tool call IDs must have 9 characters") }}
        {%- endif %}
        {{- '"call_id": "' + message.tool_call_id + '"}[/TOOL_RESULTS]' }}
    {%- else %}
        {{- raise_exception("Only user and assistant roles, tool results and a first system message are supported") }}
    {%- endif %}
{%- endfor %}
""",
    "nous hermes 2, chatml": """{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}""",
    "dolphin, chatml": """{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}{% for message in messages %}{{'<|im_start|>' + message['role'] + '
' + message['content'] + '<|im_end|>' + '
'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant
' }}{% endif %}""",
    "openhermes, chatml with a system message": """{% if messages[0]['role'] != 'system' %}{{ '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}{% endif %}
{% for message in messages %}
{{- '<|im_start|>' ~ message.role ~ '\\n' -}}
{{- message.content | trim -}}
{{- '<|im_end|>\\n' -}}
{% endfor %}
{%- if add_generation_prompt -%}
{{ '<|im_start|>assistant\\n' }}
{%- endif -%}""",
    "zephyr orpo 141b": """{% for message in messages %}
{% if message['role'] == 'user' %}
{{ '<|user|>\\n' + message['content'] + eos_token }}
{% elif message['role'] == 'system' %}
{{ '<|system|>\\n' + message['content'] + eos_token }}
{% elif message['role'] == 'assistant' %}
{{ '<|assistant|>\\n'  + message['content'] + eos_token }}
{% endif %}
{% if loop.last and add_generation_prompt %}
{{ '<|assistant|>' }}
{% endif %}
{% endfor %}""",
    "notux": """{% for message in messages %}{% if message.role == 'system' %}{{ '<<SYS>>\\n' + message.content + '\\n<</SYS>>\\n\\n' }}{% elif message.role == 'user' %}{{ (bos_token if loop.index0 < 2 else '') + '[INST] ' + message.content + ' [/INST] ' }}{% elif message.role == 'assistant' %}{{ message.content + eos_token }}{% endif %}{% endfor %}""",
    "wizardlm 2, vicuna": """{{ bos_token }}{% if messages[0]['role'] == 'system' %}{% set rest = messages[1:] %}{% set system = messages[0]['content'] %}{% else %}{% set rest = messages %}{% set system = 'A chat between a curious user and an artificial intelligence assistant.' %}{% endif %}{{ system }}{% for m in rest %}{% if m['role'] == 'user' %}{{ ' USER: ' + m['content'].strip() }}{% elif m['role'] == 'assistant' %}{{ ' ASSISTANT: ' + m['content'].strip() + eos_token }}{% else %}{{ raise_exception('Unknown role: ' ~ m['role']) }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ ' ASSISTANT:' }}{% endif %}""",
    "alpaca": """{% set first = messages[0] %}{% if first.role == 'system' %}{{ first.content.strip() ~ '\\n\\n' }}{% set messages = messages[1:] %}{% else %}{{ 'Below is an instruction that describes a task. Write a response that completes it.\\n\\n' }}{% endif %}{% for m in messages %}{% if m.role == 'user' %}### Instruction:
{{ m.content | trim }}

{% elif m.role == 'assistant' %}### Response:
{{ m.content | trim }}{{ eos_token }}

{% else %}{{ raise_exception('alpaca has no role ' + m.role) }}{% endif %}{% endfor %}{% if add_generation_prompt %}### Response:
{% endif %}""",
    "sauerkraut": """{% set ns = namespace(system='') %}{% for m in messages if m.role == 'system' %}{% set ns.system = ns.system ~ m.content ~ '\\n' %}{% endfor %}{{ bos_token }}{% for m in messages | rejectattr('role', 'equalto', 'system') %}{% if m.role == 'user' %}{{ '[INST] ' ~ (ns.system if loop.first) ~ m.content ~ ' [/INST]' }}{% else %}{{ ' ' ~ m.content ~ eos_token ~ ('' if loop.last else '\\n') }}{% endif %}{% endfor %}""",
    "bagel": """{% for message in messages %}{% if loop.first and message['role'] == 'system' %}{{ bos_token + '[INST] <<SYS>>\\n' + message['content'] + '\\n<</SYS>>\\n\\n' }}{% elif message['role'] == 'user' %}{{ ('' if loop.previtem is defined and loop.previtem.role == 'system' else bos_token + '[INST] ') ~ message['content'] ~ ' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ ' ' + message['content'] + ' ' + eos_token }}{% else %}{{ raise_exception('bagel: unexpected ' + message['role']) }}{% endif %}{% endfor %}""",
    "llama 2": """{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}{% for message in loop_messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Roles must alternate') }}{% endif %}{% if loop.index0 == 0 and system_message != false %}{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}{% else %}{% set content = message['content'] %}{% endif %}{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ ' '  + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}""",
    "hermes, function calls": """{%- macro python_type(spec) %}
{%- set names = {"string": "str", "number": "float", "integer": "int", "boolean": "bool"} %}
{%- if names[spec.type] is defined %}
    {{- names[spec.type] }}
{%- elif spec.type == "array" %}
    {{- "list[" + python_type(spec["items"]) + "]" }}
{%- elif spec.type == "object" %}
    {%- if spec.additionalProperties is defined %}
        {{- "dict[str, " + python_type(spec.additionalProperties) + "]" }}
    {%- else %}
        {{- "dict" }}
    {%- endif %}
{%- elif spec.type is iterable %}
    {{- "Union[" }}
    {%- for t in spec.type %}
        {{- python_type({"type": t}) }}
        {%- if not loop.last %}{{- "," }}{% endif %}
    {%- endfor %}
    {{- "]" }}
{%- else %}
    {{- "Any" }}
{%- endif %}
{%- endmacro %}
{{- bos_token }}
{{- '<|im_start|>system\\nYou can call functions. They are within <tools></tools>: <tools> ' }}
{%- for tool in tools or [] %}
    {%- if tool.function is defined %}{%- set tool = tool.function %}{%- endif %}
    {{- '{"type": "function", "function": {"name": "' + tool.name + '", "description": "' + tool.name + '(' }}
    {%- for name, fields in tool.parameters.properties|items %}
        {{- name + ": " + python_type(fields) }}
        {%- if not loop.last %}{{- ", " }}{%- endif %}
    {%- endfor %}
    {{- ")" }}
    {%- if tool.return is defined %}{{- " -> " + python_type(tool.return) }}{%- endif %}
    {{- " - " + tool.description + "\\n\\n" }}
    {%- for name, fields in tool.parameters.properties|items %}
        {%- if loop.first %}{{- "    Args:\\n" }}{%- endif %}
        {{- "        " + name + "(" + python_type(fields) + "): " + (fields.description | default('-'))|trim }}
    {%- endfor %}
    {{- '", "parameters": ' }}
    {%- if tool.parameters.properties | length == 0 %}{{- "{}" }}{%- else %}{{- tool.parameters|tojson }}{%- endif %}
    {{- "}" }}
    {%- if not loop.last %}{{- "\\n" }}{%- endif %}
{%- endfor %}
{{- ' </tools><|im_end|>\\n' }}
{%- for message in messages %}
    {%- if message.role == "user" or message.role == "system" or (message.role == "assistant" and message.tool_calls is not defined) %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {{- '<|im_start|>' + message.role }}
        {%- for call in message.tool_calls %}
            {{- '\\n<tool_call>\\n' }}
            {%- if call.function is defined %}{%- set call = call.function %}{%- endif %}
            {{- '{"name": "' + call.name + '", "arguments": ' + call.arguments|tojson + '}' }}
            {{- '\\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\\n' }}
    {%- elif message.role == "tool" %}
        {%- if loop.previtem and loop.previtem.role != "tool" %}{{- '<|im_start|>tool\\n' }}{%- endif %}
        {{- '<tool_response>\\n' + message.content }}
        {%- if not loop.last %}{{- '\\n</tool_response>\\n' }}{%- else %}{{- '\\n</tool_response>' }}{%- endif %}
        {%- if not loop.last and loop.nextitem.role != "tool" %}{{- '<|im_end|>' }}{%- elif loop.last %}{{- '<|im_end|>' }}{%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}
""",
    "command r, documents and tools": """{%- macro document_turn(documents) -%}
<|START_OF_TURN_TOKEN|><|SYSTEM_TOKEN|><results>
{% for document in documents %}
Document: {{ loop.index0 }}
{% for key, value in document.items() %}
{{ key }}: {{ value }}
{% endfor %}
{% if not loop.last %}

{% endif %}
{%- endfor %}
</results><|END_OF_TURN_TOKEN|>
{%- endmacro %}
{%- macro signature(tool) -%}
```python
def {{ tool.name }}(
    {%- for name, field in tool.parameters.properties.items() -%}
        {{- name }}: {{ {'string': 'str', 'integer': 'int'}.get(field.type, field.type) }}
        {%- if name not in tool.parameters.get('required', []) %} = None{% endif %}
        {{- ', ' if not loop.last }}
    {%- endfor %}) -> List[Dict]:
    \"\"\"{{ tool.description }}\"\"\"
    pass
```
{%- endmacro -%}
{{- bos_token }}
{%- if messages[0]['role'] == 'system' %}{% set preamble = messages[0]['content'] %}{% set messages = messages[1:] %}{% endif %}
{{- '<|START_OF_TURN_TOKEN|><|SYSTEM_TOKEN|>' }}
{{- preamble | default('## Task and Context\\nYou help people.', true) }}
{%- if tools %}{{ '\\n\\n## Available Tools\\n' }}{% for tool in tools %}{{ signature(tool.function) ~ ('\\n\\n' if not loop.last) }}{% endfor %}{% endif %}
{{- '<|END_OF_TURN_TOKEN|>' }}
{%- for message in messages %}
{%- set content = message['content'] %}
{%- if message.role == 'user' %}{{ '<|START_OF_TURN_TOKEN|><|USER_TOKEN|>' + content.strip() + '<|END_OF_TURN_TOKEN|>' }}
{%- elif message.role == 'assistant' %}{{ '<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>' }}
{%- if message.tool_calls is defined %}{{ 'Action: ```json\\n' + message.tool_calls | map(attribute='function') | list | tojson(indent=4) + '\\n```' }}{% else %}{{ content.strip() }}{% endif %}{{ '<|END_OF_TURN_TOKEN|>' }}
{%- elif message.role == 'tool' %}{{ document_turn([{'text': content}]) }}
{%- endif %}
{%- endfor %}
{%- if documents %}{{ document_turn(documents) }}{% endif %}
{%- if add_generation_prompt %}{{ '<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>' }}{% endif %}""",
    "firefunction": """{%- set functions = tools | map(attribute='function') | list if tools else [] -%}
{{ bos_token }}
{%- if messages[0].role == 'system' -%}
SYSTEM: {{ messages[0].content }}
{% else -%}
SYSTEM: You are a helpful assistant with access to functions.
{% endif -%}
{% if functions -%}
FUNCTIONS: {{ functions | tojson(indent=2) }}
{% endif -%}
{% for message in messages if message.role != 'system' -%}
{% if message.role == 'assistant' and message.tool_calls -%}
ASSISTANT: <functioncall>{% for call in message.tool_calls %}{{ ' ' ~ call.function | tojson(sort_keys=true) }}{% endfor %}{{ eos_token }}
{% elif message.role == 'tool' -%}
FUNCTION RESPONSE: {{ message.content }}
{% else -%}
{{ message.role | upper }}: {{ message.content }}{{ eos_token if message.role == 'assistant' }}
{% endif -%}
{% endfor -%}
{% if add_generation_prompt %}ASSISTANT:{% endif %}""",
    "openchat": """{{ bos_token }}{% for message in messages %}{{ 'GPT4 Correct ' + message['role'].title() + ': ' + message['content'] + '<|end_of_turn|>'}}{% endfor %}{% if add_generation_prompt %}{{ 'GPT4 Correct Assistant:' }}{% endif %}""",
    "orca, solar": """{% for message in messages %}{% if message['role'] == 'system' %}{% if message['content']%}{{'### System:\\n' + message['content']+'\\n\\n'}}{% endif %}{% elif message['role'] == 'user' %}{{'### User:\\n' + message['content']+'\\n\\n'}}{% elif message['role'] == 'assistant' %}{{'### Assistant:\\n'  + message['content']}}{% endif %}{% if loop.last and add_generation_prompt %}{{ '### Assistant:\\n' }}{% endif %}{% endfor %}""",
    "metharme": """{%- set marks = {'system': '<|system|>', 'user': '<|user|>', 'assistant': '<|model|>'} -%}
{%- for m in messages -%}
  {%- if m.role not in marks -%}{{ raise_exception("no mark for '" ~ m.role ~ "'; there are: " ~ marks.keys() | join(', ')) }}{%- endif -%}
  {{- marks[m.role] ~ m.content ~ (eos_token if m.role == 'assistant' else '') -}}
{%- endfor -%}
{{- marks.assistant if add_generation_prompt -}}""",
    "tulu": """{% for message in messages %}{% if message['role'] == 'system' %}{{ '<|system|>\\n' + message['content'] + '\\n' }}{% elif message['role'] == 'user' %}{{ '<|user|>\\n' + message['content'] + '\\n' }}{% elif message['role'] == 'assistant' %}{% generation %}{% if not loop.last %}{{ '<|assistant|>\\n'  + message['content'] + eos_token + '\\n' }}{% else %}{{ '<|assistant|>\\n'  + message['content'] + eos_token }}{% endif %}{% endgeneration %}{% endif %}{% if loop.last and add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}{% endfor %}""",
    "llama 3": """{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}""",
    "deepseek, user and assistant": """{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}{{ 'User: ' + message['content'] + '\\n\\n' }}{% elif message['role'] == 'assistant' %}{{ 'Assistant: ' + (message['content'].split('</think>') | last | trim) + eos_token }}{% elif message['role'] == 'system' %}{{ message['content'] + '\\n\\n' }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}""",
    "parts of content": """{%- macro text(content) -%}
{%- if content is string -%}{{ content }}
{%- else -%}{%- for part in content -%}{{ part.text if part.type == 'text' else '<' ~ part['type'] ~ '>' }}{%- endfor -%}{%- endif -%}
{%- endmacro -%}
{{- bos_token -}}
{%- for group in messages -%}
{{ ['[' ~ loop.index, group.role[0] | upper, text(group.content) | replace('\\n', ' ')] | join(':') }}]{{ loop.cycle('\\n', '\\t') }}
{%- endfor -%}
{%- if date is defined %}{{ date }}{% else %}{{ strftime_now is defined }}{% endif -%}""",
}

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "Forecast for a city",
            "parameters": {
                "type": "object",
                "properties": {
                    "city": {"type": "string", "description": " Its name "},
                    "days": {"type": "integer"},
                    "units": {"type": ["string", "number"]},
                    "hours": {"type": "array", "items": {"type": "integer"}},
                },
                "required": ["city"],
            },
            "return": {"type": "object", "additionalProperties": {"type": "number"}},
        },
    },
    {"type": "function", "function": {"name": "now", "description": "The time", "parameters": {"type": "object", "properties": {}}}},
]

CALL = {"id": "abcdefghi", "type": "function", "function": {"name": "weather", "arguments": {"city": "Zürich", "days": 2}}}

CONVERSATIONS = {
    "question": [{"role": "user", "content": "Why is the sky blue?"}],
    "turns": [
        {"role": "user", "content": " Hi \n"},
        {"role": "assistant", "content": "Hello! <b>How</b> can I help?\n"},
        {"role": "user", "content": "北風 'and' \"sun\" 🦩"},
    ],
    "system": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi"}],
    "system, turns": [
        {"role": "system", "content": ""},
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "<think>b</think>\n\nc"},
        {"role": "user", "content": "d"},
    ],
    "answer": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}],
    "assistant first": [{"role": "assistant", "content": "a"}, {"role": "user", "content": "b"}],
    "user twice": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}],
    "role unknown": [{"role": "critic", "content": "a"}],
    "tool call": [
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": "", "tool_calls": [CALL, {**CALL, "id": "123456789"}]},
        {"role": "tool", "tool_call_id": "abcdefghi", "name": "weather", "content": "3.5"},
        {"role": "tool", "tool_call_id": "123456789", "name": "weather", "content": '{"t": 4}'},
        {"role": "assistant", "content": "It is cold."},
        {"role": "user", "content": "Thanks"},
    ],
    "tool call, short id": [
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": "", "tool_calls": [{**CALL, "id": "1"}]},
    ],
    "parts": [{"role": "user", "content": [{"type": "text", "text": "a\nb"}, {"type": "image"}]}],
}

DOCUMENTS = [{"title": "A", "text": "one"}, {"title": "B", "text": "two"}]


def main():
    cases = []
    for template, source in TEMPLATES.items():
        compiled = _compile_jinja_template(source)
        for name, messages in CONVERSATIONS.items():
            for options in ({}, {"add_generation_prompt": True}, {"add_generation_prompt": True, "tools": True}):
                # Which pairs say something: tools with templates and conversations that know them, no options thrice.
                if options.get("tools") and ("tools" not in source or name not in ("question", "system", "tool call", "tool call, short id")):
                    continue
                if not options and name not in ("turns", "answer", "system, turns"):
                    continue
                given = {"add_generation_prompt": False, **options, "tools": TOOLS if options.get("tools") else None}
                given["documents"] = DOCUMENTS if options.get("tools") and "documents" in source else None
                try:
                    text = compiled.render(messages=messages, bos_token="<s>", eos_token="</s>", **given)
                    cases.append([template, name, options, text])
                except jinja2.exceptions.TemplateError as error:
                    message = str(error) if type(error) is jinja2.exceptions.TemplateError else ""
                    cases.append([template, name, options, None, message])
                except Exception:
                    cases.append([template, name, options, None, ""])
    result = {
        "made_by": "make_hub.py",
        "versions": {"jinja2": jinja2.__version__, "transformers": transformers.__version__},
        "templates": TEMPLATES,
        "conversations": CONVERSATIONS,
        "tools": TOOLS,
        "documents": DOCUMENTS,
    }
    with open(sys.argv[1], "w", encoding="ascii") as file:
        file.write(json.dumps(result)[:-1] + ', "cases": [\n')
        file.write(",\n".join(json.dumps(case, separators=(",", ":")) for case in cases))
        file.write("\n]}\n")


if __name__ == "__main__":
    main()
