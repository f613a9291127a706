"""What the stand-in for Stripe does behind its door (`billing.providers.fake`): one account's objects, their rules, its clock.

Money, cards and people are made up; names of cards, states, errors and events are Stripe's. It does what the product asks of
Stripe and no more.
"""
