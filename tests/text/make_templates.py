"""Random Jinja templates, and what Jinja2 makes of them in the environment that transformers gives to chat templates.

    python make_templates.py OUT.json [--seed 1] [--count 260]

Needs transformers and jinja2. The templates come from a grammar that covers what chat templates are written with, see
Grammar, and from corners.txt, which has one on each line (with ⏎ for a line feed). A template's outcome is its text, or
null where Jinja2 raises.
"""

import argparse
import copy
import json
import pathlib
import random
import signal

import jinja2
import transformers
from transformers.utils.chat_template_utils import _compile_jinja_template

VARIABLES = {
    "messages": [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Où? 北風 🦩\n- a"},
        {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "f", "arguments": {"a": 1, "b": [None, True]}}}]},
        {"role": "tool", "content": " x\r\ny "},
    ],
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}],
    "s": "the Quick  brown",
    "t": "a,b,,c",
    "e": "",
    "n": 7,
    "z": 0,
    "f": 2.5,
    "l": [3, 1, 2, 1],
    "w": ["b", "A", "c", "a"],
    "d": {"b": 2, "a": 1, "items": 5},
    "p": [["k", 1], ["j", 2]],
    "tree": [{"n": 1, "c": [{"n": 2, "c": []}, {"n": 3, "c": [{"n": 4, "c": []}]}]}, {"n": 5, "c": []}],
    "yes": True,
    "nil": None,
    "bos_token": "<s>",
    "eos_token": "</s>",
    "add_generation_prompt": True,
}


class Grammar:
    def __init__(self, rng, corners):
        self.rng = rng
        self.corners = corners
        self.names = 0
        self.loops = 0
        self.macros = []
        self.scope = []

    def pick(self, *choices):
        return self.rng.choice(choices)

    def maybe(self, chance):
        return self.rng.random() < chance

    # ---- expressions, by what they are likely to be ----

    def expression(self, depth, kind=None):
        if depth <= 0:
            return self.leaf(kind)
        if self.maybe(0.03):
            kind = None
        kind = kind or self.pick("number", "text", "truth", "list", "dict", "any", "number", "text", "truth")
        below = lambda k=None: self.expression(depth - 1, k)
        if self.maybe(0.12):
            return f"({below(kind)})"
        if self.maybe(0.08):
            return f"{below(kind)} if {below('truth')} else {below(kind)}"
        return getattr(self, kind)(depth, below)

    def leaf(self, kind=None):
        kind = kind or self.pick("number", "text", "truth", "list", "dict", "any")
        if self.scope and self.maybe(0.3):
            return self.pick(*self.scope)
        if kind == "number":
            return self.pick("n", "z", "f", "1", "2", "3", "10", "0", "1_000", "0x1F", "0b101", "0o17", "1.5", "1e3", "2.5e-3", "1E2", "0.1", "-1", "-2", "007"[2:], "1e16", "12.0", "loop.index" if self.loops else "n")
        if kind == "text":
            return self.pick("s", "t", "e", "'a'", '"b"', "'it\\'s'", "'x\\ny'", "'tab\\t'", "'\\u00e9\\x41'", "'a' 'b'", "'<&>'", "'🦩é'", "messages[1].content", "messages[0]['role']", "bos_token", "'1'", "'2.5'", "' pad '", "'%}'", "'}}'", "'\\\\d'", "'\\d'", "'{{ x }}'", "'A b-c d'")
        if kind == "truth":
            return self.pick("yes", "true", "False", "none", "nothing", "nil", "True", "false")
        if kind == "list":
            return self.pick("l", "w", "p", "messages", "[]", "[1, 2]", "['a', 1, none]", "(1, 2)", "(1,)", "()", "range(3)", "range(5, 0, -2)", "[[1, 2], [3, 4]]", "[1, 2,]", "tools", "(3, 'b')")
        if kind == "dict":
            return self.pick("d", "messages[0]", "{}", "{'a': 1}", "{'b': [1], 'a': none}", "{1: 'one', 2: 'two'}", "dict(a=1, b=2)", "messages[-1]", "tools[0].function", "dict(d, c=3)", "dict([('k', 2)])")
        return self.pick("nothing", "none", "nil", "d.missing", "loop" if self.maybe(0.1) else "n", "messages[9]", "s", "range", "namespace(a=1)" if self.maybe(0.2) else "l")

    def any(self, depth, below):
        return self.pick(
            lambda: self.leaf("any"),
            lambda: f"{below()} or {below()}",
            lambda: f"{below()} and {below()}",
            lambda: f"{below('list')}[{self.pick('0', '-1', '1', '5')}]",
            lambda: f"{below('dict')}.{self.pick('a', 'b', 'items', 'role', 'content', 'missing', 'name')}",
            lambda: f"{below('dict')}[{self.pick(chr(39) + 'a' + chr(39), '1', chr(39) + 'role' + chr(39), '2.0', 'true')}]",
            lambda: f"{below('dict')}.get({below('text')}{self.pick('', ', 1', ', none')})",
            lambda: f"{below('list')} | {self.pick('first', 'last', 'min', 'max', 'sum')}",
            lambda: f"{below()} | default({below()}{self.pick('', ', true', ', boolean=true')})",
            lambda: self.call(depth),
            lambda: f"{below()} if {below('truth')}",
            lambda: f"{below('list')}.{self.pick('0', '1')}",
        )()

    def number(self, depth, below):
        return self.pick(
            lambda: f"{below('number')} {self.pick('+', '-', '*', '/', '//', '%', '**')} {below('number')}",
            lambda: f"{below('number')} {self.pick('+', '-', '*')} {below('number')} {self.pick('+', '-', '*', '//', '%', '~')} {below('number')}",
            lambda: f"-{below('number')}",
            lambda: f"+{self.leaf('number')} | abs",
            lambda: f"{below('list')} | length",
            lambda: f"{below('text')} | {self.pick('length', 'wordcount', 'int', 'float', 'int(5)', 'count', 'float(1.5)')}",
            lambda: f"{below('number')} | {self.pick('abs', 'round', 'round(1)', 'int', 'float', 'round(2, ' + chr(39) + 'floor' + chr(39) + ')', 'round(method=' + chr(39) + 'ceil' + chr(39) + ')', 'round(-1)')}",
            lambda: f"{below('list')} | sum{self.pick('', '(start=10)')}",
            lambda: f"{below('text')}.{self.pick('count', 'find', 'index', 'rfind')}({self.leaf('text')})",
            lambda: f"2 ** 3 ** {self.pick('2', '0')}",
            lambda: f"{self.pick('-', '+')}{self.leaf('number')} {self.pick('**', '*')} 2",
        )()

    def text(self, depth, below):
        return self.pick(
            lambda: f"{below('text')} + {below('text')}",
            lambda: f"{below()} ~ {below()}",
            lambda: f"{below('number')} + {below('number')} ~ {below('number')} * {self.leaf('number')}",
            lambda: f"{below('text')} * {self.pick('2', '0', '3', '-1')}",
            lambda: f"{below('text')} | {self.pick('upper', 'lower', 'title', 'capitalize', 'trim', 'string', 'reverse', 'e', 'safe', 'escape', 'indent', 'indent(2, true)', 'indent(width=1, blank=true)', 'replace(' + chr(39) + 'a' + chr(39) + ', ' + chr(39) + 'xy' + chr(39) + ')', 'trim(' + chr(39) + 'at' + chr(39) + ')')}",
            lambda: f"{below('text')}.{self.pick('upper()', 'lower()', 'strip()', 'lstrip()', 'rstrip()', 'title()', 'capitalize()', 'replace(' + chr(39) + 'a' + chr(39) + ', ' + chr(39) + chr(39) + ')', 'strip(' + chr(39) + 'ab' + chr(39) + ')', 'removeprefix(' + chr(39) + 'a' + chr(39) + ')', 'removesuffix(' + chr(39) + 'b' + chr(39) + ')', 'join(w)')}",
            lambda: f"{below()} | tojson{self.pick('', '(indent=2)', '(ensure_ascii=true)', '(sort_keys=true)', '(separators=(' + chr(39) + ',' + chr(39) + ', ' + chr(39) + ':' + chr(39) + '))', '(indent=' + chr(39) + '-' + chr(39) + ')')}",
            lambda: f"{below('list')} | join{self.pick('', '(' + chr(39) + ', ' + chr(39) + ')', '(d=0)', '(' + chr(39) + '/' + chr(39) + ', attribute=' + chr(39) + 'role' + chr(39) + ')')}",
            lambda: f"{below('text')}{self.slice()}",
            lambda: f"{below('text')}[{self.pick('0', '-1', '2', '99')}]",
            lambda: f"{below()} | string",
            lambda: f"loop.cycle('odd', 'even')" if self.loops else "s",
        )()

    def truth(self, depth, below):
        compare = lambda: self.pick("==", "!=", "<", "<=", ">", ">=")
        return self.pick(
            lambda: f"{below('number')} {compare()} {below('number')}",
            lambda: f"{below('number')} {compare()} {below('number')} {compare()} {below('number')}",
            lambda: f"{below('text')} {self.pick('in', 'not in')} {below('text')}",
            lambda: f"{below()} {self.pick('in', 'not in')} {below('list')}",
            lambda: f"{self.leaf()} {self.pick('in', 'not in')} {below('list')} {self.pick('==', '!=')} {self.leaf('truth')}",
            lambda: f"{below('text')} {self.pick('in', 'not in')} {below('dict')}",
            lambda: f"not {below()}",
            lambda: f"{below('truth')} {self.pick('and', 'or')} {self.pick('', 'not ')}{below('truth')}",
            lambda: f"{below()} {self.pick('==', '!=')} {below()}",
            lambda: f"{below()} is {self.pick('', 'not ')}{self.pick('defined', 'undefined', 'none', 'string', 'number', 'mapping', 'iterable', 'sequence', 'boolean', 'true', 'false', 'integer', 'float', 'callable', 'escaped')}",
            lambda: f"{below('number')} is {self.pick('', 'not ')}{self.pick('odd', 'even', 'divisibleby(3)', 'divisibleby 2', 'eq(7)', 'gt 1', 'lessthan(2)', 'in [1, 7]', 'in(l)', 'ne 3', 'ge(2)')}",
            lambda: f"{below('text')} is {self.pick('', 'not ')}{self.pick('lower', 'upper', 'eq ' + chr(39) + 'a' + chr(39), 'in ' + chr(39) + 'abc' + chr(39), 'equalto(s)', 'in w', 'sameas none')}",
            lambda: f"{below('number')} * {self.leaf('number')} is divisibleby {self.leaf('number')}",
            lambda: f"{below('text')}.{self.pick('startswith', 'endswith')}({self.pick(self.leaf('text'), '(' + chr(39) + 'a' + chr(39) + ', ' + chr(39) + 't' + chr(39) + ')')})",
            lambda: f"{below('list')} {compare()} {below('list')}",
            lambda: f"{below('text')} {compare()} {below('text')}",
            lambda: f"loop.{self.pick('first', 'last')}" if self.loops else "yes",
            lambda: f"loop.changed({self.leaf()})" if self.loops else "yes",
            lambda: f"{self.pick(chr(39) + 'upper' + chr(39), chr(39) + 'nope' + chr(39))} is filter",
        )()

    def list(self, depth, below):
        return self.pick(
            lambda: f"[{', '.join(below() for _ in range(self.rng.randrange(4)))}]",
            lambda: f"({below()}, {below()}{self.pick('', ',')})",
            lambda: f"{below('list')} + {below('list')}",
            lambda: f"{below('list')} * 2",
            lambda: f"{below('list')}{self.slice()}",
            lambda: f"{below('list')} | {self.pick('list', 'sort', 'sort(reverse=true)', 'unique | list', 'reverse | list', 'map(' + chr(39) + 'string' + chr(39) + ') | list', 'sort(case_sensitive=true)', 'select | list', 'reject(' + chr(39) + 'none' + chr(39) + ') | list', 'select(' + chr(39) + 'gt' + chr(39) + ', 1) | list', 'map(' + chr(39) + 'upper' + chr(39) + ')', 'reverse', 'unique')}",
            lambda: f"messages | {self.pick('map(attribute=' + chr(39) + 'role' + chr(39) + ')', 'selectattr(' + chr(39) + 'role' + chr(39) + ', ' + chr(39) + 'eq' + chr(39) + ', ' + chr(39) + 'user' + chr(39) + ')', 'rejectattr(' + chr(39) + 'content' + chr(39) + ')', 'selectattr(' + chr(39) + 'tool_calls' + chr(39) + ', ' + chr(39) + 'defined' + chr(39) + ')', 'sort(attribute=' + chr(39) + 'role' + chr(39) + ')', 'map(attribute=' + chr(39) + 'name' + chr(39) + ', default=' + chr(39) + '-' + chr(39) + ')', 'map(attribute=' + chr(39) + 'content.0' + chr(39) + ')')}{self.pick(' | list', '', ' | list')}",
            lambda: f"{below('text')}.{self.pick('split()', 'split(' + chr(39) + ',' + chr(39) + ')', 'split(' + chr(39) + 'a' + chr(39) + ', 1)', 'splitlines()', 'rsplit(' + chr(39) + ' ' + chr(39) + ', 1)', 'partition(' + chr(39) + 'a' + chr(39) + ')', 'split(none, 1)')}",
            lambda: f"{below('text')} | list",
            lambda: f"{below('dict')}.{self.pick('keys()', 'values()', 'items()')}{self.pick('', ' | list', ' | sort')}",
            lambda: f"{below('dict')} | {self.pick('dictsort', 'list', 'items | list', 'dictsort(by=' + chr(39) + 'value' + chr(39) + ')', 'items')}",
            lambda: f"range({self.pick('0', '3', '1, 4', '4, 0, -1', 'n', '2, 9, 3')})",
        )()

    def dict(self, depth, below):
        return self.pick(
            lambda: "{" + ", ".join(f"{self.pick(chr(39) + 'a' + chr(39), chr(39) + 'b' + chr(39), 'e', '1', '2', 's', 'n + 1')}: {below()}" for _ in range(self.rng.randrange(4))) + "}",
            lambda: f"dict({self.pick('', 'd, ', 'p, ')}{self.pick('x', 'a')}={below()})",
            lambda: f"{below('list')} | first",
            lambda: self.leaf("dict"),
            lambda: "tree[0].c | last",
        )()

    def slice(self):
        bound = lambda: self.pick("", "", "0", "1", "-1", "2", "-2", "99", "none", "-99")
        return f"[{bound()}:{bound()}{self.pick('', ':', ':2', ':-1', ':-2', ':1')}]"

    def call(self, depth):
        if not self.macros:
            return self.leaf()
        name, parameters = self.pick(*self.macros)
        given = [self.expression(depth - 1) for _ in parameters][: self.rng.randrange(len(parameters) + 1)]
        named = [f"{p}={self.expression(0)}" for p in parameters[len(given):] if self.maybe(0.4)]
        if self.maybe(0.06):
            named.append("extra=1")
        if self.maybe(0.06) and not named:
            given.append("*l" if self.maybe(0.5) else "**{'k': 1}")
        return f"{name}({', '.join(given + named)})"

    # ---- statements ----

    def name(self):
        self.names += 1
        return self.pick("a", "b", "x", "y", "item", "m", f"v{self.names % 5}", "n", "s", "l", "d")

    def open(self):
        return "{%" + self.pick("", "", "", "-", "-", "+")

    def close(self):
        return self.pick("", "", "", "-", "-", "+") + "%}"

    def tag(self, inner):
        return f"{self.open()}{self.pick(' ', ' ', '')}{inner}{self.pick(' ', ' ', chr(10))}{self.close()}"

    def output(self, depth):
        return "{{" + self.pick("", "", "-") + " " + self.expression(depth) + " " + self.pick("", "", "-") + "}}"

    def white(self):
        return self.pick("", "", "\n", " ", "\n  ", "  \n", "\n\n", "\t", "\r\n", " \n \n")

    def words(self):
        return self.white() + self.pick("text", "a", "é", "{ }", "%", "# no", "}}", "|", "'", "") + self.white()

    def body(self, depth):
        kept = list(self.scope)
        parts = [self.statement(depth) for _ in range(self.rng.randrange(1, 4))]
        self.scope = kept
        return "".join(parts)

    def statement(self, depth):
        if depth <= 0 or self.maybe(0.3):
            return self.words() + self.output(self.rng.randrange(0, 3))
        if self.maybe(0.06):
            return self.pick(*self.corners)
        return self.white() + self.pick(
            self.for_, self.for_, self.if_, self.if_, self.set_, self.set_, self.macro, self.with_, self.comment, self.raw, self.block_set, self.filter_, self.call_block, self.namespace, self.recursive, self.unpack, self.generation, self.printing, self.early,
        )(depth) + self.white()

    def for_(self, depth):
        target = self.pick(self.name(), self.name(), f"{self.name()}, {self.name()}", "k, v")
        source = self.pick("l", "w", "messages", "p", "d", "d.items()", "d | dictsort", "range(4)", "e", "t", "nothing", "messages[1:]", "l | reverse", "[]", "p[::-1]", self.expression(1, "list"))
        if "," in target:
            source = self.pick("p", "d.items()", "d | dictsort", "[(1, 2), (3, 4)]", "d | items", source)
        kept = list(self.scope)
        names = [n.strip() for n in target.split(",")]
        self.scope += names
        condition = f" if {self.expression(1, 'truth')}" if self.maybe(0.25) else ""
        self.loops += 1
        inner = self.body(depth - 1)
        if self.maybe(0.5):
            inner += "{{ " + self.pick("loop.index", "loop.index0", "loop.revindex", "loop.revindex0", "loop.first", "loop.last", "loop.length", "loop.previtem", "loop.nextitem", "loop.depth", "loop['index']", "loop.missing", "loop.changed(" + names[0] + ")", "loop.cycle(1, 2, 3)", "',' if not loop.last", "loop is mapping", "loop.nextitem is defined") + " }}"
        if self.maybe(0.15):
            inner += self.tag(f"if {self.expression(1, 'truth')}") + self.output(0) + self.tag(self.pick("break", "continue")) + self.tag("endif") + self.output(0)
        self.loops -= 1
        self.scope = kept
        other = self.tag("else") + self.body(depth - 1) if self.maybe(0.25) else ""
        return self.tag(f"for {target} in {source}{condition}") + inner + other + self.tag("endfor")

    def early(self, depth):
        return "{% for i in range(5) %}" + self.words() + self.tag(f"if i == {self.pick('0', '2', '4')}") + self.words() + self.tag(self.pick("break", "continue")) + self.tag("endif") + "{{ i }}{% else %}never{% endfor %}"

    def recursive(self, depth):
        return self.tag("for node in tree" + self.pick("", " if node.n != 3") + " recursive") + "{{ node.n }}" + self.pick("", "{{ loop.depth }}", "{{ loop.index }}", "{{ loop.depth0 }}/{{ loop.length }}") + self.white() + "{% if node.c %}({{ loop(node.c) }}){% endif %}" + self.tag("endfor")

    def if_(self, depth):
        text = self.tag(f"if {self.expression(2, 'truth')}") + self.body(depth - 1)
        while self.maybe(0.25):
            text += self.tag(f"elif {self.expression(2, 'truth')}") + self.body(depth - 1)
        if self.maybe(0.5):
            text += self.tag("else") + self.body(depth - 1)
        return text + self.tag("endif")

    def set_(self, depth):
        name = self.name()
        text = self.tag(f"set {name} = {self.expression(2)}")
        self.scope.append(name)
        return text

    def unpack(self, depth):
        return self.tag(self.pick("set a, b = 1, 2", "set (a, b), c = p[0], n", "set x, y = p[0]", "set a, b = [1]", "set a, = [1]", "set a = 1, 2", "set a, b = d", "set ns.x, a = 1, 2")) + "{{ a }}{{ b }}{{ c }}{{ x }}"

    def block_set(self, depth):
        name = self.name()
        text = self.tag(f"set {name}{self.pick('', '', ' | upper', ' | trim | length', ' | replace(' + chr(39) + 'a' + chr(39) + ', 5)')}") + self.body(depth - 1) + self.tag("endset")
        self.scope.append(name)
        return text + "[{{ " + name + " }}]"

    def namespace(self, depth):
        text = "{% set ns = namespace(" + self.pick("", "a=1", "{'a': 1}", "d", "x=[]", "d, a=5") + ") %}"
        text += self.tag(f"for q in {self.pick('l', 'w', 'messages')}") + self.tag(f"set ns.{self.pick('a', 'b')} = {self.expression(1)}") + self.tag("endfor")
        return text + "{{ ns.a }}{{ ns.b is defined }}{{ ns['a'] }}"

    def with_(self, depth):
        a, b = self.name(), self.name()
        kept = list(self.scope)
        head = self.tag(self.pick(f"with {a} = {self.expression(1)}", f"with {a} = 1, {b} = {self.expression(1)}", "with"))
        self.scope += [a]
        text = head + self.body(depth - 1) + self.tag("endwith") + "{{ " + a + " }}"
        self.scope = kept
        return text

    def macro(self, depth):
        name = self.pick("show", "item_of", "row", "again")
        parameters = [["one", "two", "three"], ["one"], [], ["x", "y"]][self.rng.randrange(4)]
        fallbacks = self.rng.randrange(len(parameters) + 1)
        head = ", ".join(p if i < fallbacks else f"{p}={self.pick('1', chr(39) + 'd' + chr(39), 'none', 'n', parameters[0], 's ~ e')}" for i, p in enumerate(parameters))
        kept, loops = self.scope, self.loops
        self.scope, self.loops = list(parameters), 0
        inner = self.body(depth - 1) + self.pick("", "", "", "{{ varargs }}", "{{ kwargs }}", "{{ caller() if caller }}", "{{ caller is defined }}")
        self.scope, self.loops = kept, loops
        text = self.tag(f"macro {name}({head})") + inner + self.tag("endmacro")
        self.macros.append((name, parameters))
        return text + self.pick("", "{{ " + self.call(1) + " }}")

    def call_block(self, depth):
        given = self.pick("", "(u)", "(u, v=2)")
        head = "{% macro wrap(a=1) %}<{{ a }}{{ caller(" + self.pick("", "a", "1, 2", "a, v=3") + ") }}>{% endmacro %}"
        return head + self.tag(f"call{given} wrap({self.pick('', '2', 's', 'a=none')})") + self.words() + "{{ u }}{{ v }}{{ a }}" + self.tag("endcall")

    def filter_(self, depth):
        return self.tag(f"filter {self.pick('upper', 'trim', 'replace(' + chr(39) + 'a' + chr(39) + ', ' + chr(39) + 'b' + chr(39) + ')', 'upper | trim', 'indent(2)', 'length')}") + self.body(depth - 1) + self.tag("endfilter")

    def comment(self, depth):
        return "{#" + self.pick("", "-", "+") + self.pick(" c ", " {{ no }} ", " {% if %}\n ", "") + self.pick("", "-", "+") + "#}"

    def raw(self, depth):
        return self.tag("raw") .replace("+%}", "%}") + self.pick(" {{ no }} ", "{% if %}", "\n {# c #}\n", "") + self.tag("endraw")

    def generation(self, depth):
        return self.tag("generation") + self.body(depth - 1) + self.tag("endgeneration")

    def printing(self, depth):
        return self.tag(f"print {self.expression(1)}{self.pick('', ', ' + self.expression(1))}")

    def template(self):
        self.macros, self.scope, self.loops = [], [], 0
        text = "".join(self.statement(self.rng.randrange(0, 4)) for _ in range(self.rng.randrange(1, 4)))
        if self.maybe(0.03):
            text = text[: self.rng.randrange(1, len(text) + 1)]
        if self.maybe(0.05):
            text = text.replace("\n", "\r")
        return text + self.pick("", "", "", "\n", "\n\n")


class Slow(BaseException):
    pass


def late(*_):
    raise Slow


def outcome(template):
    """The text, or None where Jinja2 raises; an address in it, and what takes long, is nothing to compare with.

    The variables are copied because Jinja2's own filters can change them: `[1] | indent` adds to the list.
    """
    signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, 2)
    try:
        text = _compile_jinja_template(template).render(**copy.deepcopy(VARIABLES))
        text.encode()
    except Slow:
        return False
    except Exception:
        text = None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return False if text is not None and (" at 0x" in text or len(text) > 2000) else text


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=260)
    parser.add_argument("--longest", type=int, default=500)
    args = parser.parse_args()
    lines = pathlib.Path(__file__).with_name("corners.txt").read_text(encoding="utf-8").strip("\n").split("\n")
    corners = [(template, outcome(template)) for template in (line.replace("⏎", "\n") for line in lines)]
    corners = [case for case in corners if case[1] is not False]
    grammar = Grammar(random.Random(args.seed), [template for template, text in corners if text is not None])
    found = {}
    while len(found) < args.count:
        template = grammar.template()
        if len(template) > args.longest or template in found:
            continue
        text = outcome(template)
        # Two of three that raise are left out: most of them raise for the same few reasons.
        if text is False or (text is None and grammar.maybe(0.66)):
            continue
        found[template] = text
    result = {
        "made_by": f"make_templates.py --seed {args.seed} --count {args.count} --longest {args.longest}",
        "versions": {"jinja2": jinja2.__version__, "transformers": transformers.__version__},
        "variables": VARIABLES,
        "cases": corners + list(found.items()),
    }
    with open(args.out, "w", encoding="ascii") as file:
        head = {key: value for key, value in result.items() if key != "cases"}
        file.write(json.dumps(head)[:-1] + ', "cases": [\n')
        file.write(",\n".join(json.dumps(case, separators=(",", ":")) for case in result["cases"]))
        file.write("\n]}\n")


if __name__ == "__main__":
    main()
