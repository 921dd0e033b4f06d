"""The place of the main screen's parts: laid out by a plan, not by rules that push each other."""

from __future__ import annotations

from textual import events
from textual.geometry import NULL_OFFSET, NULL_SPACING, Size
from textual.layout import ArrangeResult, Layout, WidgetPlacement
from textual.message import Message
from textual.widget import Widget

from console.plan import Part, Plan


class PlannedLayout(Layout):
    """Puts each widget where the plan has the part of its id."""

    name = "planned"

    def __init__(self) -> None:
        self.plan: Plan = {}

    def arrange(
        self,
        parent: Widget,
        children: list[Widget],
        size: Size,  # noqa: ARG002 - the plan is made for it
        greedy: bool = True,  # noqa: ARG002 - Textual's signature
    ) -> ArrangeResult:
        """The places of those that are in the plan."""
        parent.pre_layout(self)
        return [
            WidgetPlacement(self.plan[part], NULL_OFFSET, NULL_SPACING, child)
            for child in children
            if (part := Part(child.id or "")) in self.plan
        ]


class Board(Widget):
    """Holds the parts. Posts `Resized`; whoever plans answers with `follow`."""

    DEFAULT_CSS = """
    Board { width: 100%; height: 100%; }
    """

    class Resized(Message):
        """It has another size."""

    def __init__(self, *parts: Widget) -> None:
        super().__init__(*parts, id="board")
        self._layout_plan = PlannedLayout()

    @property
    def layout(self) -> Layout:
        """That of its plan."""
        return self._layout_plan

    def on_resize(self, _event: events.Resize) -> None:
        """Another plan is needed."""
        self.post_message(self.Resized())

    @property
    def plan(self) -> Plan:
        """The plan that it follows."""
        return self._layout_plan.plan

    def follow(self, plan: Plan) -> None:
        """Lays the parts out by another plan; those that are not in it are hidden."""
        if plan == self._layout_plan.plan:
            return
        self._layout_plan.plan = plan
        for child in self.children:
            child.display = child.id in plan
        self._clear_arrangement_cache()
        self.refresh(layout=True)
