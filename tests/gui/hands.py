"""Mouse, keyboard and eyes on a session's screen. Positions are screen pixels, y down from the top."""

import io
import time
from pathlib import Path

import numpy as np
from PIL import Image
from session import HEIGHT, WIDTH, Session

# What Blender says about the button under the mouse: its operator's Python command, as Ctrl C copies it.
_UNDER_MOUSE = """
area, region = {place}
bpy.context.window_manager.clipboard = ""
with bpy.context.temp_override(window=bpy.context.window_manager.windows[0], area=area, region=region):
    if bpy.ops.ui.copy_python_command_button.poll():
        bpy.ops.ui.copy_python_command_button()
value = bpy.context.window_manager.clipboard
"""
_REDRAW = """
for window in bpy.context.window_manager.windows:
    for area in window.screen.areas:
        area.tag_redraw()
"""
_WHEEL_TURNS = 12
_PLACE = """next((a, r) for a in bpy.context.window_manager.windows[0].screen.areas if a.type == "{area}"
        for r in a.regions if r.type == "{region}")"""


class Hands:
    """What a person does with one session's window."""

    def __init__(self, session: Session, pictures: Path) -> None:
        self.session, self.pictures = session, pictures
        self._known: dict[str, tuple[int, int]] = {}
        self._last_y = 0

    def look(self) -> np.ndarray:
        """The screen now, (HEIGHT, WIDTH, 3) uint8."""
        png = self.session.run("import", "-silent", "-window", "root", "png:-")
        return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))

    def picture(self, name: str) -> np.ndarray:
        """Look, with the mouse out of the way and all regions drawn, and keep it as ``NAME.png``."""
        for x in (WIDTH - 40, WIDTH - 4):  # a tooltip goes when the mouse moves once more
            self.move(x, HEIGHT - 4)
        self.session.ask(_REDRAW)
        time.sleep(0.7)
        seen = self.look()
        Image.fromarray(seen).save(self.pictures / f"{name}.png", optimize=True)
        return seen

    def move(self, x: int, y: int) -> None:
        """Move the mouse."""
        self._do("mousemove", str(int(x)), str(int(y)))

    def click(self, x: int, y: int) -> None:
        """Move there and press the left button."""
        self.move(x, y)
        self._do("mousedown", "1")
        self._do("mouseup", "1")

    def keys(self, *names: str) -> None:
        """Press keys one after another; they go to what the mouse is over."""
        for name in names:
            self._do("key", name)

    def drag(self, start: tuple[int, int], end: tuple[int, int], button: int = 2, steps: int = 4) -> None:
        """Hold a mouse button from one place to another."""
        self.move(*start)
        self._do("mousedown", str(button))
        for step in range(1, steps + 1):
            self.move(*(a + (b - a) * step / steps for a, b in zip(start, end, strict=True)))
        self._do("mouseup", str(button))

    def _do(self, *command: str) -> None:
        self.session.run("xdotool", *command)
        self.session.settle()

    def box(self, area: str = "VIEW_3D", region: str = "WINDOW") -> tuple[int, int, int, int]:
        """Where a region of the first window lies: left, top, right, bottom."""
        place = _PLACE.format(area=area, region=region)
        x, y, width, height = self.session.ask(
            f"area, region = {place}\nvalue = [region.x, region.y, region.width, region.height]"
        )
        return x, HEIGHT - y - height, x + width, HEIGHT - y

    def find(self, command: str, area: str = "VIEW_3D", region: str = "UI") -> tuple[int, int]:
        """Where the button lies whose Python command contains ``command``, found with the mouse.

        What is not in sight is looked for with the mouse wheel: first below, then from the top.
        """
        known = self._known.get(command)
        if known is not None and command in self._under(known, area, region, sure=True):
            return known
        for wheel in (None, "5", "4"):
            if wheel is not None:
                left, top, right, bottom = self.box(area, region)
                self.move((left + right) // 2, (top + bottom) // 2)
                for _ in range(_WHEEL_TURNS):
                    self._do("click", wheel)
            place = self._seen(command, area, region)
            if place is not None:
                self._known[command] = place
                return place
        self.picture(f"not-found-{command.replace('.', '-').replace('(', '')}")
        raise AssertionError(f"no button {command} in {area} {region}; a picture of it is kept")

    def _seen(self, command: str, area: str, region: str) -> tuple[int, int] | None:
        left, top, right, bottom = self.box(area, region)
        # The tabs of the sidebar take its right edge; buttons in rows of two or three lie beside the middle.
        # The page of preferences is wide, and begins with small boxes.
        shares = (0.04, 0.021, 0.4, 0.9) if area == "PREFERENCES" else (0.4, 0.25, 0.7, 0.88, 0.1)
        for share in shares:
            x = int(left + share * (right - left))
            # What is looked for is often near what was pressed last.
            for y in sorted(range(top + 4, bottom - 4, 13), key=lambda y: abs(y - self._last_y)):
                if command not in self._under((x, y), area, region):
                    continue
                self.session.settle()  # the answer may still have been about the place before
                for place in ((x, y + 3), (x, y - 3)):
                    if command in self._under(place, area, region, sure=True):
                        self._last_y = y
                        return place
        return None

    def press(self, command: str, area: str = "VIEW_3D", region: str = "UI") -> None:
        """Click the button whose Python command contains ``command``."""
        self.click(*self.find(command, area, region))

    def _under(self, place: tuple[int, int], area: str, region: str, sure: bool = False) -> str:
        self.session.run("xdotool", "mousemove", *map(str, place))
        self.session.get("True")  # one turn of the event loop, for Blender to see where the mouse is
        if sure:
            self.session.settle()
        return self.session.ask(_UNDER_MOUSE.format(place=_PLACE.format(area=area, region=region)))
