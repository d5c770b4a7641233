"""A Qt 5 window with one entry. Return writes the entry's text into the file that is its argument, and ends."""

import sys

from PyQt5.QtWidgets import QApplication, QLineEdit


class Entry(QLineEdit):
    def focusInEvent(self, event):
        super().focusInEvent(event)
        # Said when the entry has the keyboard: input that comes earlier has nowhere to go.
        print("ready", flush=True)


def main():
    path = sys.argv[1]
    application = QApplication(sys.argv)
    entry = Entry()
    entry.setWindowTitle("entry under test")
    entry.resize(600, 60)

    def write():
        with open(path, "w", encoding="utf-8") as file:
            file.write(entry.text())
        application.quit()

    entry.returnPressed.connect(write)
    entry.show()
    entry.activateWindow()
    sys.exit(application.exec_())


main()
