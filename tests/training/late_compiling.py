"""Run by test_lean_imports.py in a process of its own: torch's compiler before and after it is loaded."""

import sys
from typing import Any

import torch

from training.engine import late_compiler

assert isinstance(sys.modules["torch._dynamo"], late_compiler.NotYet)
assert "torch._dynamo.eval_frame" not in sys.modules


@torch.compiler.disable
def left_alone(x: torch.Tensor) -> torch.Tensor:
    return torch.sin(x)


@torch.compiler.disable(recursive=False)
def left_alone_itself(x: torch.Tensor) -> torch.Tensor:
    return torch.tan(x)


@torch.compiler.allow_in_graph
def whole(x: torch.Tensor) -> torch.Tensor:
    return torch.cos(x).exp()


@torch.compiler.assume_constant_result
def known() -> int:
    return 3


def everything(x: torch.Tensor) -> torch.Tensor:
    return left_alone_itself(left_alone(whole(x) + known()) * 2) - 1


seen: list[str] = []


def recorded(graph: Any, _example: Any) -> Any:
    seen.extend(str(node.target) + str(getattr(node.target, "__name__", "")) for node in graph.graph.nodes)
    return graph


x = torch.linspace(0, 1, 5)
weight = torch.nn.Parameter(torch.ones(1))
optimizer = torch.optim.AdamW([weight], lr=0.1, fused=True)
weight.sum().backward()  # type: ignore[no-untyped-call]
optimizer.step()
optimizer.zero_grad()
expected = everything(x)
assert "torch._dynamo.eval_frame" not in sys.modules, "it came too early"

found = torch.compile(everything, backend=recorded)(x)

assert torch.equal(found, expected)
assert any("whole" in name for name in seen), seen
assert not any("cos" in name or "sin" in name or "tan" in name for name in seen), seen
assert sys.modules["torch._dynamo"] is torch._dynamo
assert hasattr(torch._dynamo, "_trace_wrapped_higher_order_op")
assert isinstance(torch.compile(torch.nn.Linear(1, 1)), torch._dynamo.eval_frame.OptimizedModule)
