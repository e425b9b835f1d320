"""Runs inside Blender: answers questions about it through a socket, on Blender's own thread.

Each connection sends Python source and gets one JSON object: ``{"value": ...}``, or ``{"error": traceback}``.
The source runs from a timer, thus only as long as Blender's event loop turns. What it assigns to ``value``
is the answer. ``draws`` counts how often 3D views were drawn.
"""

import json
import os
import queue
import socket
import threading
import traceback
from pathlib import Path

import bpy

TICK_SECONDS = 0.02
NAMES = {"bpy": bpy, "draws": 0}

_questions = queue.Queue()


def _count_draw():
    NAMES["draws"] += 1


def _listen(path):
    server = socket.socket(socket.AF_UNIX)
    server.bind(path + ".new")
    server.listen()
    Path(path + ".new").rename(path)  # whoever sees it can connect
    while True:
        connection = server.accept()[0]
        with connection.makefile("r", encoding="utf-8") as stream:
            _questions.put((connection, stream.read()))


def _answer():
    while not _questions.empty():
        connection, source = _questions.get()
        scope = NAMES | {"value": None}
        try:
            exec(compile(source, "question", "exec"), scope)
            answer = json.dumps({"value": scope["value"]})
        except BaseException:
            answer = json.dumps({"error": traceback.format_exc()})
        with connection:
            connection.sendall(answer.encode())
    return TICK_SECONDS


def main():
    view = bpy.context.preferences.view
    view.show_splash = False
    view.filebrowser_display_type = "SCREEN"
    view.show_tooltips = False  # they would cover what pictures are taken of
    view.show_developer_ui = True  # names a button's operator
    bpy.types.SpaceView3D.draw_handler_add(_count_draw, (), "WINDOW", "POST_PIXEL")
    bpy.app.timers.register(_answer, persistent=True)
    threading.Thread(target=_listen, args=(os.environ["PAMIR_GUI_SOCKET"],), daemon=True).start()


main()
