"""A bank whose reminders help, for what needs somebody to be written to."""

from dataclasses import replace

from predelinquency.decide import engine


def reminding() -> engine.Book:
    "The book of a bank whose own trial found that a reminder helps: one may be worth it week after week, so there is much to repeat."
    book = engine.load_book()
    reminder = replace(book.policy.actions["reminder"], uplift_low=0.04)
    rules = replace(book.policy, actions={**book.policy.actions, reminder.id: reminder})
    return replace(book, policy=rules, at={**book.at, "averts.reminder": 0.04})
