"""A GTK 3 window with one entry. Return writes the entry's text into the file that is its argument, and ends."""

import sys

import gi

gi.require_version("Gtk", "3.0")
from gi.repository import Gtk  # noqa: E402


def main():
    path = sys.argv[1]
    window = Gtk.Window(title="entry under test")
    window.set_default_size(600, 80)
    entry = Gtk.Entry()

    def write(_):
        with open(path, "w", encoding="utf-8") as file:
            file.write(entry.get_text())
        Gtk.main_quit()

    entry.connect("activate", write)
    # Said when the entry has the keyboard: input that comes earlier has nowhere to go.
    entry.connect("focus-in-event", lambda *_: print("ready", flush=True))
    window.add(entry)
    window.connect("destroy", Gtk.main_quit)
    window.show_all()
    window.present()
    Gtk.main()


main()
