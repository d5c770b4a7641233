"""A GTK window with one entry: arguments are GTK's version and a pipe. Return writes the entry's text into the pipe as
one line of JSON and empties the entry. The first line says that the entry has the keyboard."""

import json
import sys

import gi

VERSION = sys.argv[1]
gi.require_version("Gtk", VERSION)
from gi.repository import GLib, Gtk  # noqa: E402

pipe = open(sys.argv[2], "w", encoding="utf-8", buffering=1)


def report(value):
    pipe.write(json.dumps(value) + "\n")


def activate(entry):
    report(entry.get_text())
    entry.set_text("")


def build(window):
    entry = Gtk.Entry()
    entry.set_max_length(0)
    entry.connect("activate", activate)
    window.set_title("entry under test")
    window.set_default_size(600, 80)
    return entry


def gtk3():
    window = Gtk.Window()
    entry = build(window)
    entry.connect("focus-in-event", lambda *_: report("ready"))
    window.add(entry)
    window.connect("destroy", Gtk.main_quit)
    window.show_all()
    window.present()
    Gtk.main()


def gtk4():
    window = Gtk.Window()
    entry = build(window)
    window.connect("notify::is-active", lambda *_: window.is_active() and report("ready"))
    window.set_child(entry)
    window.present()
    entry.grab_focus()
    GLib.MainLoop().run()


gtk3() if VERSION == "3.0" else gtk4()
