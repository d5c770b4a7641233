"""A Qt 5 window with one entry: the argument is a pipe. Return writes the entry's text into the pipe as one line of JSON
and empties the entry. The first line says that the entry has the keyboard."""

import json
import sys

from PyQt5.QtWidgets import QApplication, QLineEdit

pipe = open(sys.argv[1], "w", encoding="utf-8", buffering=1)


def report(value):
    pipe.write(json.dumps(value) + "\n")


class Entry(QLineEdit):
    def focusInEvent(self, event):
        super().focusInEvent(event)
        report("ready")


def main():
    application = QApplication(sys.argv)
    entry = Entry()
    entry.setWindowTitle("entry under test")
    entry.setMaxLength(1 << 20)
    entry.resize(600, 60)

    def activate():
        report(entry.text())
        entry.clear()

    entry.returnPressed.connect(activate)
    entry.show()
    entry.activateWindow()
    sys.exit(application.exec_())


main()
