"""Which requests for a certificate are signed."""

from __future__ import annotations

import base64
import unittest

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding

from csms.domain.certificate_signing import csr_objection
from tests.certificates import OPERATOR, csr, name, rsa_key


def objection(text: str, serial: str = "SN-1") -> str:
    return csr_objection(text, operator=OPERATOR, certificate_name=serial)


class CsrTests(unittest.TestCase):
    def test_strong_keys_with_the_right_names_are_signed(self) -> None:
        for key in (
            rsa_key(2048),
            ec.generate_private_key(ec.SECP224R1()),
            ec.generate_private_key(ec.SECP256R1()),
            ec.generate_private_key(ec.SECP521R1()),
        ):
            self.assertEqual(objection(csr("SN-1", key=key)), "")
        self.assertEqual(objection(csr("SN-1", algorithm=hashes.SHA384())), "")

    def test_weak_and_unusual_keys_are_not(self) -> None:
        for key in (rsa_key(1024), ec.generate_private_key(ec.SECP192R1())):
            self.assertIn("its key must be RSA", objection(csr("SN-1", key=key)))
        request = x509.CertificateSigningRequestBuilder().subject_name(name("SN-1"))
        pem = request.sign(ed25519.Ed25519PrivateKey.generate(), None).public_bytes(Encoding.PEM).decode()
        self.assertIn("its key must be RSA", objection(pem))

    def test_only_this_chargers_serial_number_and_this_operator(self) -> None:
        for text in (csr("SN-2"), csr("sn-1"), csr("SN-1 "), csr(None)):
            self.assertEqual(objection(text), "its name (CN) is not the serial number of this charger")
        for text in (csr("SN-1", "Other"), csr("SN-1", None)):
            self.assertEqual(objection(text), "its organisation (O) is not the operator's name")
        self.assertEqual(objection(csr("SN-1"), ""), "no serial number is bound to this charger")

    def test_a_signature_of_another_key_is_found(self) -> None:
        good = csr("SN-1").split("\n")
        body = bytearray(base64.b64decode("".join(good[1:-2])))
        body[-1] ^= 1
        encoded = base64.b64encode(bytes(body)).decode()
        pem = "\n".join([good[0], *(encoded[at : at + 64] for at in range(0, len(encoded), 64)), good[-2], ""])
        self.assertIn("its signature is wrong", objection(pem))

    def test_rubbish_is_refused_in_words(self) -> None:
        for text in ("", "rubbish", csr("SN-1")[:-40], "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n", "é\ud800"):
            self.assertIn("it cannot be read", objection(text))
        self.assertIn("10000 characters or more", objection("x" * 10_000))
