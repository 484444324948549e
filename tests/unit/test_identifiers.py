# SPDX-License-Identifier: Apache-2.0
"""What looks like an identifier is seen as forms write it; measurements, doses and prose are not taken for one."""

from __future__ import annotations

import pytest

from fedmed_desktop.clinical.checking.identifiers import identifiers

SEEN = {
    "phone": [
        "Call her daughter at (555) 234-5678.",
        "713-263-0829",
        "Phone 1-713-263-0829, evenings",
        "Cell: +1 713.263.0829",
        "call 123-4567 for an appointment",
        "Tel.: 020 7946 0958",
        "reach him on +44 20 7946 0958.",
        "Fax# 263-0829",
        "Pager: 12345678",
    ],
    "record_number": [
        "MRN: 00123456",
        "MRN 123-45-67",
        "MR#: 4471123",
        "Medical Record Number: A123456",
        "MEDICAL RECORD #: 99321",
        "Patient ID: 40012",
        "patient id is 40012",
        "Account number 77120033",
        "NHS No: 9434765919",
        "Hospital number: X-881234",
        "Medicaid # 5512345",
    ],
    "email": ["write to j.smith+x@clinic.example.org", "JSMITH@EXAMPLE.COM"],
    "social_security": ["SSN: 123-45-6789", "ssn 123456789", "Social security number: 123 45 6789", "(123-45-6789)"],
    "birth_date": [
        "DOB: 01/02/1953",
        "D.O.B. 1-2-53",
        "Date of birth: January 2, 1953",
        "date of birth 2 January 1953",
        "He was born on March 3rd, 1990.",
        "Birthdate: 1953-01-02",
    ],
    "name_header": [
        "Patient: John Smith\nAge: 45",
        "PATIENT NAME: SMITH, JOHN Q\nDOB: x",
        "Name: Mrs. O'Brien",
        "RE: x,Name: Jane Doe,Dear Dr.",
        "Patient's Name: Maria Garcia-Lopez  MRN",
        "Pt: Ms. Lee",
        "Surname: Smith Jones",
        "Seen in clinic. Patient: Anna Maria Bell",
    ],
    "address": [
        "lives at 60 Evergreen Terrace with his wife",
        "123 N. Main St, Springfield",
        "P.O. Box 12345",
        "45 West 5th Avenue",
        "XYZ, D.C.,60 Evergreen Place,Suite 902",
        "9 Oak Dr.\nSalem",
    ],
    "postcode": [
        "East Orange, NJ  07018",
        "Portland, OR 97201-1234",
        "zip code 02139",
        "London SW1A 1AA",
        "Postcode: M1 1AE",
    ],
}

CLEAN = """
The patient is a 45-year-old male, 5/5 strength, BP 120/80, P 72, R 16, T 98.6, O2 sat 98% on 2 L.
WBC 12,500, Hgb 10.2, platelets 250000, sodium 138, potassium 4.1, glucose 110-120, CPK 1137,
BNP 4520 (normal 3150-4500).
Aspirin 81 mg daily, Lovenox 40 mg q.12h., heparin 5000 units, 1:200000 epinephrine, 0.9% NaCl 1000 mL at 125-150 mL/hr.
Seen from 1995-1996 and 2006-2008; follow-up on 12/05/2007. CPT 30450, 64640 times two, 11643. ICD-9 code 250.00.
She was born at 38 weeks. He was born in 1953.
The date of birth of her grandchildren escaped her. Dobutamine stress test.
Patient: The patient denies pain. PATIENT: DENIES CHEST PAIN. Name: Aspirin.
Pulse Generator Model Name:  Sigma, model 12345.
Name: XXXX XXXX
Patient: Well developed
Discussed with Dr. Smith. On 2004 Dr. Jones placed a 10 French catheter..
L4 5MM disc, L5 S1 2ND level, vitamin B12 1000 mcg, T4 5ML, C5-C6 and C6-C7, T2-weighted images, C3 4TH nerve.
MRN: XXXX, MR#: 0000000. Medical record from 2004-2005 was reviewed, case 12 of 40, unit 3, no 4000.
PLATELETS IN 10000 range. 10 x 20 x 300 cm. 3-0 Vicryl, 4-0 Monocryl, 6-0 nylon; 250 300 1500 in three samples.
Range of motion 0-130. Ratio 100-200-1000.
@ elbow, 5/4 @ wrist. GAF 65-70. Call if fever over 101.5. Cell count 1200-1500.
Works at the Social Security Agency. Walked down the street. Street drugs. Contact dermatitis 2 x 3.
Mobile mass 3.5 x 2.5 cm.
Ejection fraction 55-60%, A1c 7.2, PSA 4.01-4.25, INR 2.0-3.0, tel no fax. Telemetry 12 hours. Fax 2 pages.
"""


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in SEEN.items() for text in texts])
def test_that_an_identifier_is_seen(kind: str, text: str) -> None:
    assert kind in identifiers(text), text
    assert kind in identifiers(f"HISTORY.\n{text}\nPLAN: rest"), text


@pytest.mark.parametrize("line", CLEAN.strip().splitlines())
def test_that_clinical_prose_is_no_identifier(line: str) -> None:
    assert not identifiers(line)


def test_that_what_two_rules_see_counts_once_and_kinds_count_apart() -> None:
    assert identifiers("Phone: 713-263-0829. MRN: 00123456, SSN: 123-45-6789") == {
        "phone": 1, "record_number": 1, "social_security": 1,
    }  # fmt: skip


def test_that_a_long_hostile_text_takes_no_time() -> None:
    for piece in ("1-", "a.", "Name: A", "(2", "A ", "+1 ", "1 Aa "):
        identifiers(piece * 200_000)
