"""Which letters are easier written in Python?"""

TIPS = {"pro": ["Invite your team", "Connect your calendar"]}


def tips(enrollment, answers, config):
    """`template: letters:tips` in a step: the fields of an e-mail."""
    listed = "\n".join(f"{number}. {tip}" for number, tip in enumerate(TIPS["pro"], 1))
    return {
        "from": "Shop <hello@shop.example>",
        "subject": f"{len(TIPS['pro'])} tips for {enrollment['data']['name']}",
        "text": f"To get the most out of it:\n\n{listed}\n",
    }
