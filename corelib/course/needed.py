"""The cells that some cells of a notebook need: the earlier ones that give or change what they
read. Grading, and tests that are about some cells, execute no others."""

from __future__ import annotations

import ast
import re

from nbformat import NotebookNode

CHANGING = {"append", "extend", "update", "add"}  # methods that change what they are called on


class Names(ast.NodeVisitor):
    """What a cell reads from earlier cells, which names it gives, and which of the earlier cells'
    it changes; visited in the order in which Python goes."""

    def __init__(self, source: str):
        self.read, self.given, self.changed = set(), set(), set()
        self.visit(ast.parse(re.sub(r"^ *%.*", "", source, flags=re.MULTILINE)))  # no magics

    def visit_Name(self, node):
        if not isinstance(node.ctx, ast.Load):
            self.given.add(node.id)
        elif node.id not in self.given:
            self.read.add(node.id)

    def visit_alias(self, node):
        self.given.add((node.asname or node.name).partition(".")[0])

    def visit_Assign(self, node):
        self.in_order(node.value, *node.targets)

    def visit_AugAssign(self, node):
        self.in_order(node.value)
        self.change(node.target)

    def visit_For(self, node):
        self.in_order(node.iter, node.target, *node.body, *node.orelse)

    def visit_comprehension(self, node):
        self.in_order(node.iter, node.target, *node.ifs)

    def visit_ListComp(self, node):
        before = set(self.given)
        self.in_order(*node.generators)
        self.in_order(*([node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]))
        self.given = before

    visit_SetComp = visit_GeneratorExp = visit_DictComp = visit_ListComp

    def visit_FunctionDef(self, node):
        before = set(self.given)
        self.given |= {argument.arg for argument in ast.walk(node) if isinstance(argument, ast.arg)}
        self.generic_visit(node)
        self.given = before | {getattr(node, "name", "a lambda")}

    visit_ClassDef = visit_Lambda = visit_FunctionDef

    def visit_Subscript(self, node):
        if not isinstance(node.ctx, ast.Load):
            self.change(node.value)  # as trained[seed] = run changes trained
        self.generic_visit(node)

    visit_Attribute = visit_Subscript

    def visit_Call(self, node):
        if isinstance(node.func, ast.Attribute) and node.func.attr in CHANGING:
            self.change(node.func.value)
        self.generic_visit(node)

    def in_order(self, *nodes):
        for node in nodes:
            self.visit(node)

    def change(self, node):
        while isinstance(node, ast.Attribute | ast.Subscript):
            node = node.value
        if isinstance(node, ast.Name) and node.id not in self.given:
            self.read.add(node.id)
            self.changed.add(node.id)


def needed_cells(notebook: NotebookNode, wanted: list[int]) -> list[int]:
    """The places of the code cells that those of `wanted` need, in order: themselves, the set-up,
    the parameters, and what gives or changes, directly or not, the names that they read."""
    code = [place for place, cell in enumerate(notebook.cells) if cell.cell_type == "code"]
    needed, missing = [], set()
    for place in reversed(code):
        names = Names(notebook.cells[place].source)
        if place in (*code[:2], *wanted) or missing & (names.given | names.changed):
            needed.append(place)
            missing = missing - names.given | names.read
    return needed[::-1]
