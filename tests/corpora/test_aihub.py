"""AI-Hub: two sets of unlike layout through their field maps; wrong maps and labels are named."""

import json
from dataclasses import replace

import pytest
import yaml

from l2dual.corpora import Request
from l2dual.corpora.aihub import FIELD_MAPS, FieldMap, prepare
from l2dual.data.datadir import DataDir, write_datadir
from l2dual.data.utterance import SPLITS
from l2dual.errors import DataError, UsageError
from tests.mac import check_a_copy_from_a_mac

REQUEST = Request("ko", "heard")
EDUCATIONAL = replace(REQUEST, field_map="educational")


def write_label(path, label):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(label, ensure_ascii=False), encoding="utf-8-sig")


def label_505(name, speaker, reading, heard, answer=""):
    return {
        "fileName": f"{name}.wav",
        "file_info": {"speakerID": speaker, "recordQuality": "16kHz", "recordTime": "3.21"},
        "transcription": {
            "Reading": reading,
            "ReadingLabelText": heard,
            "Question": "취미가 뭐예요?" if answer else "",
            "AnswerLabelText": answer,
            "SentenceSpeechLV": "중",
        },
        "SpeakerID": speaker,
        "basic_info": {"gender": "여", "birthYear": "1998", "eduBackground": "대졸"},
        "residence_info": {"country": "중국", "residencePeriod": "2", "residenceCity": "서울"},
        "skill_info": {"languageClass": "중국어", "motherTongue": "중국어", "topikGrade": "4"},
    }


@pytest.fixture
def set505(tmp_path):
    """Labels and recordings in folders apart, one of each kind of utterance; two speakers train."""
    db = tmp_path / "131.외국인 한국어 발화"
    number = 0
    for split, tag, speakers in (
        ("1.Training", "TS_", ("CN0001", "CN0002", "CN0003")),
        ("2.Validation", "VS_", ("CN0004", "CN0001")),
    ):
        for speaker in speakers:
            texts = [
                (f"{speaker} {split} 저는 학교에 갑니다.", f"{speaker} {split} 저는 하꾜에 갑니다"),
                (f"{speaker} 칠십(70) 명, 왔어요!", f"{speaker} 칠십 명 왔어요"),
                (f"{speaker} 할수 있다", f"{speaker} 할 수 있다"),
                (f"{speaker} 그+ 그 사람", f"{speaker} 그+ 그 싸람"),
            ]
            rows = [(reading, heard, "") for reading, heard in texts] + [("", "", "등산이에요")]
            for reading, heard, answer in rows:
                number += 1
                name = f"CN50RC{number:03d}_{speaker}_20211014"
                folder = "4. 중국어/1. 한국일반"
                label = label_505(name, speaker, reading, heard, answer)
                write_label(db / split / "라벨링데이터" / folder / f"{name}.json", label)
                wav = db / split / "원천데이터" / f"{tag}{folder}" / f"{name}.wav"
                wav.parent.mkdir(parents=True, exist_ok=True)
                wav.touch()
    return db


@pytest.fixture
def educational(tmp_path):
    """Labels in lab/, recordings in sound/, other names, nothing in folders of a split."""
    db = tmp_path / "Sample"
    for speaker in range(10):
        for number in range(3):
            name = f"{speaker:05d}-F-91-VI-A-LAR{number:03d}-000441{speaker}"
            label = {
                "UserID": speaker,
                "sound_id": name,
                "RecordingMetadata": {
                    "prompt": f"{speaker}번 {number}번 문장을 읽으세요.",
                    "orthographic": f"{speaker}번 {number}번 문장을 일그세요.",
                    "RecordedTime": 4.2,
                },
                "SpeakerMetadata": {
                    "language": "베트남어",
                    "proficiency": "B",
                    "topik_level": 3 if speaker else None,
                    "gender": "F",
                    "birth_year": 1991,
                },
            }
            write_label(db / f"02.라벨링데이터/Speech/lab/{name}.json", label)
            wav = db / f"01.원천데이터/Speech/sound/{name}.wav"
            wav.parent.mkdir(parents=True, exist_ok=True)
            wav.touch()
    return db


@pytest.fixture
def own_map(tmp_path):
    """Write a changed copy of a field map of ours."""

    def write(source, **changes):
        content = yaml.safe_load(source.read_text(encoding="utf-8")) | changes
        content = {key: value for key, value in content.items() if value is not None}
        path = tmp_path / "my map.yaml"
        path.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
        return path

    return write


def test_utterance_of_505(set505):
    utterances, _ = prepare(set505, REQUEST)
    first = next(u for u in utterances if u.id == "CN0001-CN50RC001_CN0001_20211014")
    assert first.meaning == first.canonical == "cn0001 1 training 저는 학교에 갑니다"
    assert first.surface == "cn0001 1 training 저는 하꾜에 갑니다"
    assert first.speaker == "CN0001" and first.l1 == "mandarin"
    assert first.facts == {
        "level": "4", "speech_level": "mid", "gender": "여", "birth_year": "1998"
    }  # fmt: skip
    assert first.audio.is_file() and "TS_4. 중국어" in str(first.audio)


def test_a_copy_from_a_mac(set505):
    check_a_copy_from_a_mac(prepare, set505, REQUEST)


def test_surface_is_meaning_where_nothing_was_mispronounced(set505):
    utterances, info = prepare(set505, REQUEST)
    texts = {u.meaning.split(" ", 1)[1]: u.surface.split(" ", 1)[1] for u in utterances}
    assert texts["칠십 명 왔어요"] == "칠십 명 왔어요"  # gloss and punctuation
    assert texts["할수 있다"] == "할수 있다"  # spaces alone
    assert texts["그 그 사람"] == "그 그 싸람"
    assert info["spaces_as_in_meaning"] == 5


@pytest.mark.parametrize("field_map", [FIELD_MAPS["505"], FIELD_MAPS["educational"]])
def test_marks_are_no_part_of_a_number(field_map):
    text = FieldMap.load(field_map).text("어/ 1/3 명, 1,000원 그+그 사람* 3.5%")
    assert text == "어 1/3 명 1000원 그 그 사람 3.5%"


def test_official_folders_of_505(set505):
    utterances, info = prepare(set505, REQUEST)
    speakers = {name: {u.speaker for u in utterances if u.split == name} for name in SPLITS}
    assert speakers["test"] == {"CN0004", "CN0001"}
    assert len(speakers["valid"]) == 1 and len(speakers["train"]) == 2
    assert info["left_out"] == {"no text to read": 5}
    assert "CN0001" in speakers["train"] | speakers["valid"]
    assert sum(pair["speakers"] for pair in info["overlap"].values()) == 1


def test_a_part_of_the_recordings_is_enough(set505):
    for wav in sorted(set505.glob("1.Training/**/*CN0002*.wav")):
        wav.unlink()
    utterances, info = prepare(set505, REQUEST)
    assert info["left_out"] == {"no text to read": 5, "no recording": 4}
    assert "CN0002" not in {u.speaker for u in utterances}


def test_educational_layout_with_splits_drawn(educational, own_map):
    request = replace(REQUEST, field_map=own_map(FIELD_MAPS["educational"], splits=None))
    utterances, info = prepare(educational, request)
    assert len(utterances) == 30 and info["source"].startswith("AI-Hub 71469")
    seventh = next(u for u in utterances if u.speaker == "7")
    assert seventh.id == "7-00007-F-91-VI-A-LAR000-0004417"
    assert seventh.meaning == "7번 0번 문장을 읽으세요"
    assert seventh.surface == "7번 0번 문장을 일그세요"
    assert seventh.l1 == "베트남어" and seventh.facts["topik"] == "3"
    assert "topik" not in next(u for u in utterances if u.speaker == "0").facts
    for name in ("speaker", "meaning"):
        values = [{getattr(u, name) for u in utterances if u.split == split} for split in SPLITS]
        assert all(values) and sum(map(len, values)) == len(set.union(*values))


def test_a_map_reaches_into_lists(tmp_path, own_map):
    """A set that we invent: texts in lists, an id, Windows paths, English."""
    db = tmp_path / "english"
    for speaker in "ABC":
        for number in range(2):
            label = {
                "speaker": {"code": f"spk {speaker}"},
                "items": [{"text": f"I don’t think {speaker}{number}."}, {"text": "I sink so"}],
                "file": f"D:\\wav\\{speaker}{number}.WAV",
            }
            write_label(db / f"json/{speaker}-{number}.json", label)
            (db / f"{speaker}{number}.wav").touch()
    fields = {
        "speaker": "speaker.code", "meaning": "items.0.text", "surface": "items.1.text",
        "audio": "file", "id": "file",
    }  # fmt: skip
    path = own_map(FIELD_MAPS["71463"], fields=fields, splits=None, labels="json/*.json")
    utterances, _ = prepare(db, Request("en", "heard", field_map=path))
    assert utterances[0].id == "spk_A-D_wav_A0.WAV"
    assert utterances[0].meaning == "i don't think a0" and utterances[0].surface == "i sink so"
    assert utterances[0].l1 == "unknown"


@pytest.mark.parametrize("path", FIELD_MAPS.values(), ids=FIELD_MAPS)
def test_our_maps_are_whole(path):
    assert FieldMap.load(path).labels


def test_the_map_in_the_docs_is_right(root, tmp_path):
    page = (root / "docs/corpora/aihub.md").read_text(encoding="utf-8")
    (tmp_path / "map.yaml").write_text(page.split("```yaml")[1].split("```")[0], encoding="utf-8")
    field_map = FieldMap.load(tmp_path / "map.yaml")
    assert field_map.text("칠십(70) 명!") == "칠십 명" and field_map.splits["Validation"] == "test"


def test_stage_1_writes_the_facts(set505, tmp_path):
    utterances, info = prepare(set505, REQUEST)
    for split in SPLITS:
        chosen = [u for u in utterances if u.split == split]
        write_datadir(tmp_path / "data" / split, chosen, info)
    data = DataDir.load(tmp_path / "data" / "test")
    assert set(data["utt2speech_level"].values()) == {"mid"} and data.info["overlap"]


@pytest.mark.parametrize(
    "name, path, fault",
    [
        ("surface", "transcription.HeardText", "`HeardText` is not there, but keys Reading, "),
        ("meaning", "text.Reading", "`text` is not there, but keys fileName, file_info, "),
        ("speaker", "SpeakerID.code", "`code` is not there, but 'CN0001'; correct `speaker`"),
        ("meaning", "transcription", "`transcription` is not a single value; correct `meaning`"),
        ("age", "basic_info.age", "`age` is not there, but keys gender, birthYear, "),
    ],
)
def test_a_wrong_path_names_label_path_keys_and_map(set505, own_map, name, path, fault):
    fields = yaml.safe_load(FIELD_MAPS["505"].read_text(encoding="utf-8"))["fields"]
    changed = own_map(FIELD_MAPS["505"], fields=fields | {name: path})
    with pytest.raises(DataError) as caught:
        prepare(set505, replace(REQUEST, field_map=changed))
    message = str(caught.value)
    assert fault in message and "\n" not in message
    assert "CN50RC001_CN0001_20211014.json: " in message
    assert f"correct `{name}` under `fields` in {changed}" in message


def test_a_fact_that_some_labels_lack_is_unknown_there(set505):
    file = next(set505.glob("1.Training/**/CN50RC001*.json"))
    label = json.loads(file.read_text(encoding="utf-8-sig"))
    del label["skill_info"]["topikGrade"]
    write_label(file, label)
    utterances, _ = prepare(set505, REQUEST)
    assert [u.id for u in utterances if "level" not in u.facts] == [f"CN0001-{file.stem}"]


@pytest.mark.parametrize(
    "changes, fault",
    [
        ({"fields": {"speaker": "SpeakerID"}}, "`fields` has no `meaning`: add"),
        ({"labels": None}, "`labels` is missing: add"),
        ({"field": {}}, "unknown entry `field`: use audio, clean, "),
        ({"fields": "x"}, "`fields` must hold"),
        ({"clean": [["(", ""]]}, "clean: "),
        ({"clean": ["x"]}, "clean: "),
        ({"splits": {"Training": "training"}}, "`training` is none of"),
        ({"values": {"l1": "english"}}, "values: l1: give `found: written` lines"),
        ({"values": {"l1": {True: "x"}}}, "values: l1: give"),
        ({"audio": "/data/*.wav"}, "`audio` must be a pattern below --db"),
        ({"clean": [["a", r"\2"]]}, "clean: "),
        ({"language": "en"}, "for language en, but the recipe's is ko"),
        (
            {"fields": {"speaker": "a", "meaning": "a", "surface": "a", "dur": "a"}},
            "can't have `dur`",
        ),
    ],
)
def test_a_wrong_map_is_one_line(set505, own_map, changes, fault):
    path = own_map(FIELD_MAPS["505"], **changes)
    with pytest.raises(UsageError) as caught:
        prepare(set505, replace(REQUEST, field_map=path))
    assert str(caught.value).startswith(f"{path}: ") and fault in str(caught.value)
    assert "\n" not in str(caught.value)


def test_values_may_be_numbers(own_map):
    assert FieldMap.load(own_map(FIELD_MAPS["505"], values={"l1": {1: "english"}})).values["l1"] == {"1": "english"}


def break_json(db):
    next(db.glob("1.Training/**/*.json")).write_text("{")


def break_folder(db):
    (db / "2.Validation").rename(db / "2.Other")


def break_audio(db):
    for wav in db.glob("**/*.wav"):
        wav.unlink()


def double_audio(db):
    (db / "CN50RC001_CN0001_20211014.wav").touch()


def empty_speaker(db):
    file = next(db.glob("1.Training/**/CN50RC001*.json"))
    write_label(file, json.loads(file.read_text(encoding="utf-8-sig")) | {"SpeakerID": ""})


@pytest.mark.parametrize(
    "spoil, fault",
    [
        (break_json, ".json: not JSON in UTF-8"),
        (break_folder, "in no folder named Training or Validation; give --db"),
        (break_audio, "no file **/*.wav; unpack the set there, or correct `audio` in"),
        (double_audio, "its recording may be "),
        (empty_speaker, "20211014.json: the speaker is empty; correct"),
    ],
)
def test_bad_input_is_one_line(set505, spoil, fault):
    spoil(set505)
    with pytest.raises(DataError) as caught:
        prepare(set505, REQUEST)
    assert fault in str(caught.value) and "\n" not in str(caught.value)


def test_free_speech_alone_leaves_nothing(set505):
    for file in set505.glob("**/*.json"):
        label = json.loads(file.read_text(encoding="utf-8-sig"))
        label["transcription"]["Reading"] = None
        write_label(file, label)
    with pytest.raises(DataError, match="no utterance is left of 25 labels"):
        prepare(set505, REQUEST)
