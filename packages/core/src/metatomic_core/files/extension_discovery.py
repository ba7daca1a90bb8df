"""Which custom classes and operators a compiled model uses, and which loaded libraries registered them."""

import re
from pathlib import Path
from typing import Any

import torch

from .shared_libraries import library_stem, loaded_extensions

# Namespaces of operators and classes that torch 2.13 itself registers (listed from a process that loads nothing
# else, plus those of its optional backends).
_TORCH_NAMESPACES = """
_c10d_functional _c10d_functional_autograd _caffe2 _dtensor _native _nnapi _quantized _test aten backendutils c10d
cuda cudnn debug_mode_ops debugprims dist_rpc export higher_order inductor inductor_prims metal metal_prepack mkl
mkldnn mkldnn_prepacked mps nnapi onednn onnx prepacked prim prims profiler profiling quantization quantized rnn
rngprims rpc sparse static_runtime symm_mem tensorexpr vulkan vulkan_prepack xnnpack xpu
""".split()  # noqa: SIM905  (a list of quoted names would be three times as long)
# metatensor-torch, which this package and every model need anyway.
_BASE_NAMESPACES = frozenset(["metatensor"])
_IGNORED = frozenset(_TORCH_NAMESPACES) | _BASE_NAMESPACES

_CLASS = re.compile(r"__torch__\.torch\.classes\.(\w+)\.(\w+)")
_OPERATOR_CALL = re.compile(r"\bops\.(\w+)\.(\w+)\(")
_OPERATOR = re.compile(r"^(\w+)::(\w+)")


class _Collector:
    """Walk modules, graphs and types, each once, and remember custom classes and operators."""

    def __init__(self, modules: list[torch.jit.ScriptModule]) -> None:
        self.classes: set[str] = set()
        self.operators: set[str] = set()
        self._seen: set[str] = set()
        # functions and classes the code of which can not be found by name
        self._unknown: set[str] = set()
        self._modules = {module._c._type().annotation_str for module in modules}
        for module in modules:
            self._add_type(module._c._type())
            for name in module._c._method_names():
                self._add_method(module._c._get_method(name))

    def _add_method(self, method: Any) -> None:
        # the graph without what it calls is a hundred times smaller; but what came from a file, as in a loaded model
        # that is saved again, can not be looked up by name
        if not self._add_block(method.graph):
            self._add_block(method.inlined_graph)

    def _add_type(self, kind: Any) -> bool:
        """Add a type; give False for a function or class the code of which can not be found."""
        text = kind.annotation_str
        if text not in self._seen:
            self._seen.add(text)
            for namespace, name in _CLASS.findall(text):
                if namespace not in _IGNORED:
                    self.classes.add(f"{namespace}.{name}")
            if not self._add_code(kind, text):
                self._unknown.add(text)
        return text not in self._unknown

    def _add_code(self, kind: Any, text: str) -> bool:
        if kind.kind() == "FunctionType":
            return self._add_function(text)
        # attributes of a class, elements of a list, ...; all of them, also after one that is not known
        known = all([self._add_type(contained) for contained in kind.containedTypes()])  # noqa: C419
        if kind.kind() != "ClassType" or text in self._modules or _CLASS.match(text):
            return known
        # all methods of a class are saved, whether or not they are called
        return all([self._add_function(f"{text}.{name}") for name in kind.method_names()]) and known  # noqa: C419

    def _add_function(self, qualified_name: str) -> bool:
        function = torch.jit._state._python_cu.find_function(qualified_name)
        if function is not None:
            self._add_method(function)
        return function is not None

    def _add_block(self, block: Any) -> bool:
        complete = True
        for value in block.inputs():
            self._add_type(value.type())
        for node in block.nodes():
            match = _OPERATOR.match(node.kind())
            if match is not None and match.group(1) not in _IGNORED:
                self.operators.add(match.group(0))
            for value in node.outputs():
                complete = self._add_type(value.type()) and complete
            for inner in node.blocks():
                complete = self._add_block(inner) and complete
        return complete


def used_names(scripted: torch.jit.ScriptModule) -> tuple[list[str], list[str]]:
    """List the custom classes and operators in the code and the attributes of a compiled module.

    Parameters
    ----------
    scripted
        The module; its sub-modules are included.

    Returns
    -------
    list of str, list of str
        Classes as "namespace.Class" and operators as "namespace::operator", sorted, without those of torch and
        metatensor.
    """
    collector = _Collector([module for _, module in scripted.named_modules()])
    return sorted(collector.classes), sorted(collector.operators)


def used_names_in_source(source: str) -> list[str]:
    """List the custom classes and operators in source code of TorchScript, as it is in a file, in the same way."""
    found = {(namespace, f"{namespace}.{name}") for namespace, name in _CLASS.findall(source)}
    found |= {(namespace, f"{namespace}::{name}") for namespace, name in _OPERATOR_CALL.findall(source)}
    return sorted(name for namespace, name in found if namespace not in _IGNORED)


def is_registered(name: str) -> bool:
    """Tell whether a class "namespace.Class" or an operator "namespace::operator" exists in this process."""
    try:
        if "::" in name:
            namespace, operator = name.split("::")
            getattr(getattr(torch.ops, namespace), operator)
        else:
            namespace, class_name = name.split(".")
            getattr(getattr(torch.classes, namespace), class_name)
    except (AttributeError, RuntimeError):
        return False
    return True


def libraries_of(names: list[str]) -> dict[Path, list[str]]:
    """Find the loaded library that registers each name, by the texts in the libraries.

    A library that registers ``ns::op`` or ``ns.Class`` holds both parts as texts.  Where several do, those win that
    hold the second part as a text of its own, and of these the one which is named after the namespace.

    Raises
    ------
    RuntimeError
        If no loaded library has a name.
    """
    contents = {path: path.read_bytes() for path in loaded_extensions()} if names else {}
    found: dict[Path, list[str]] = {}
    for name in names:
        namespace, member = re.split(r"::|\.", name)
        best = max(
            ((_match(content, path, namespace, member), path) for path, content in contents.items()),
            default=(0, Path()),
        )
        if best[0] == 0:
            raise RuntimeError(
                f"expected a library loaded by `torch.ops.load_library` that registers '{name}', which this model "
                "uses, got none; operators defined in Python can not be saved in a model"
            )
        found.setdefault(best[1], []).append(name)
    return found


def _match(content: bytes, path: Path, namespace: str, member: str) -> int:
    """Tell how well a library fits a name: 0 for not at all."""
    if namespace.encode() not in content or member.encode() not in content:
        return 0
    # C strings end with a zero; the schema of an operator goes on with its arguments
    own_text = any(text in content for text in (f"\0{member}\0".encode(), f"\0{member}(".encode()))
    named_after = namespace in library_stem(path.name)
    return 1 + 2 * own_text + named_after
