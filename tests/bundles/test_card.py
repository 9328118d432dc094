"""A card says everything that its reader needs, or which key is missing."""

import pytest
import yaml

from cafrnet.bundles.card import KEYS, check_card, check_name, read_card
from cafrnet.errors import InputError, UsageError
from handmade_bundle import CARD_VALUES


def test_a_whole_card():
    card = check_card(CARD_VALUES, "card")
    assert (card.name, card.version, card.not_trained) == ("grey", "1", ())
    assert card.recipe["model"] == "cafr_net"
    assert set(KEYS) == set(CARD_VALUES)


@pytest.mark.parametrize("key", sorted(KEYS))
def test_every_key_is_needed(key):
    with pytest.raises(InputError, match=rf"card: {key} is missing \("):
        check_card({k: v for k, v in CARD_VALUES.items() if k != key}, "card")


def metric(**changes):
    return {"metrics": [{**CARD_VALUES["metrics"][0], **changes}]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "Not a name"}, "name should be a short name"),
        ({"name": "default"}, "name should be"),
        ({"name": "../up"}, "name should be"),
        ({"version": 1.0}, "version should be a version in quotation marks, 1.0 came"),
        ({"limits": []}, "limits should be a list of sentences"),
        ({"limits": "none"}, "limits should be"),
        (
            {"data": [{"name": "x", "licence": "", "citation": "y"}]},
            "data should be a list with name, licence",
        ),
        ({"split": {"hash": "abc"}}, "split should be a table with the split's hash"),
        ({"recipe": {"model_args": {}}}, "recipe should be"),
        ({"not_trained": ["L6"]}, "not_trained should be"),
        (metric(low=2.0), "metrics should be"),
        (metric(command=""), "metrics should be"),
        (metric(high=float("nan")), "metrics should be"),
        (metric(value=True), "metrics should be"),
        ({"licenze": "x"}, "unknown key 'licenze'; did you mean 'licence'"),
    ],
)
def test_what_is_wrong_is_named(changes, message):
    with pytest.raises(InputError, match=message.replace("(", r"\(")):
        check_card({**CARD_VALUES, **changes}, "card")


def test_the_form_of_another_version_is_one_sentence_whatever_its_keys_are():
    newer = {**CARD_VALUES, "format": 2, "cafrnet": "3.1.4", "more": 0}
    with pytest.raises(InputError) as caught:
        check_card(newer, "card")
    assert str(caught.value) == (
        "card has the form 2, this cafrnet reads form 1; use the version that made the bundle, cafrnet "
        "'3.1.4', or a bundle for this one"
    )


def test_all_mistakes_at_once():
    with pytest.raises(InputError) as caught:
        check_card({**CARD_VALUES, "version": 1, "limits": [], "more": 0}, "card")
    assert all(word in str(caught.value) for word in ("version", "limits", "'more'"))


def test_nothing_measured_is_a_statement():
    assert check_card({**CARD_VALUES, "metrics": []}, "card").raw["metrics"] == []


@pytest.mark.parametrize("text", ["[1, 2]", "a: [", "\x00"])
def test_a_file_that_is_no_card(tmp_path, text):
    (tmp_path / "card.yaml").write_text(text)
    with pytest.raises(InputError, match=r"card\.yaml"):
        read_card(tmp_path / "card.yaml")


def test_reading(tmp_path):
    (tmp_path / "card.yaml").write_text(yaml.safe_dump(CARD_VALUES))
    assert read_card(tmp_path / "card.yaml").raw == CARD_VALUES


@pytest.mark.parametrize("name", ["", "A", "a b", "-a", "a/b", "default", "x" * 65, ".."])
def test_names_that_can_t_be_one(name):
    with pytest.raises(UsageError, match="bundle name"):
        check_name(name)
