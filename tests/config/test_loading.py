"""Settings: where they come from, which one wins, and what is said when one is wrong."""

from __future__ import annotations

import unittest
from collections.abc import Mapping

from csms.config.descriptions import describe
from csms.config.loading import ConfigError, load
from csms.config.settings import AmqpClient, Settings, UnknownChargers

FILES = {"/run/secret": "s3cret\n", "/start/secret": "here", "/bad": None}


def read_file(path: str) -> str:
    text = FILES.get(path)
    if text is None:
        raise FileNotFoundError(2, "No such file or directory")
    return text


def loaded(
    file: str | None = None, *, options: Mapping[str, str] | None = None, environ: Mapping[str, str] | None = None
) -> Settings:
    return load(options or {}, environ or {}, file, "tap.conf", read_file=read_file, directory="/start")


class PrecedenceTests(unittest.TestCase):
    def test_nothing_given_gives_the_defaults(self) -> None:
        settings = loaded()
        self.assertEqual(settings.gateway, Settings().gateway)
        self.assertEqual(settings.worker, Settings().worker)
        self.assertEqual(settings.webhooks, ())

    def test_file_beats_default(self) -> None:
        self.assertEqual(loaded("[gateway]\nport = 9001\n").gateway.port, 9001)

    def test_environment_beats_file(self) -> None:
        settings = loaded("[gateway]\nport = 9001\n", environ={"CSMS_GATEWAY_PORT": "9002"})
        self.assertEqual(settings.gateway.port, 9002)

    def test_option_beats_environment(self) -> None:
        settings = loaded(
            "[gateway]\nport = 9001\n", environ={"CSMS_GATEWAY_PORT": "9002"}, options={"gateway-port": "9003"}
        )
        self.assertEqual(settings.gateway.port, 9003)

    def test_empty_environment_variable_counts_as_not_set(self) -> None:
        self.assertEqual(loaded("[gateway]\nport = 9001\n", environ={"CSMS_GATEWAY_PORT": ""}).gateway.port, 9001)

    def test_a_secret_in_the_environment_beats_a_secret_file_of_tap_conf(self) -> None:
        settings = loaded("[broker]\npassword_file = /run/secret\n", environ={"CSMS_BROKER_PASSWORD": "other"})
        self.assertEqual(settings.broker.password, "other")


class ValueTests(unittest.TestCase):
    def test_every_kind_of_value_is_read(self) -> None:
        settings = loaded(
            "[gateway]\nunknown_chargers = accept\nrequire_password = no\npublish_deadline_s = 2.5\n"
            "[broker]\namqp_client = TXAMQP\n[worker]\nrun = ocpp analytics\n"
        )
        self.assertIs(settings.gateway.unknown_chargers, UnknownChargers.ACCEPT)
        self.assertIs(settings.gateway.require_password, False)
        self.assertEqual(settings.gateway.publish_deadline_s, 2.5)
        self.assertIs(settings.broker.amqp_client, AmqpClient.TXAMQP)
        self.assertEqual(settings.worker.run, "ocpp analytics")

    def test_percent_and_hash_in_a_value_are_taken_as_they_are(self) -> None:
        self.assertEqual(loaded("[broker]\npassword = a%b#c;d\n").broker.password, "a%b#c;d")

    def test_every_default_is_a_value_that_could_be_written(self) -> None:
        for setting in describe():
            with self.subTest(f"{setting.section}.{setting.key}"):
                self.assertEqual(setting.parse(setting.default_text), setting.default)

    def test_relative_paths_are_taken_from_the_start_directory(self) -> None:
        settings = loaded("[broker]\nca_file = ca.pem\n[database]\nurl = sqlite:///var/x.db\n")
        self.assertEqual(settings.broker.ca_file, "/start/ca.pem")
        self.assertEqual(settings.database.url, "sqlite:////start/var/x.db")

    def test_the_default_database_is_absolute_too(self) -> None:
        self.assertEqual(loaded().database.url, "sqlite:////start/var/csms.db")

    def test_absolute_paths_and_other_urls_stay(self) -> None:
        settings = loaded("[broker]\nca_file = /etc/ca.pem\n[database]\nurl = postgresql://u@h/d\n")
        self.assertEqual(settings.broker.ca_file, "/etc/ca.pem")
        self.assertEqual(settings.database.url, "postgresql://u@h/d")
        self.assertEqual(loaded("[database]\nurl = sqlite:////a/b\n").database.url, "sqlite:////a/b")


class SecretTests(unittest.TestCase):
    def test_a_secret_file_gives_its_text_without_the_newline(self) -> None:
        self.assertEqual(loaded("[broker]\npassword_file = /run/secret\n").broker.password, "s3cret")

    def test_a_relative_secret_file_is_found_in_the_start_directory(self) -> None:
        self.assertEqual(loaded(options={"broker-password-file": "secret"}).broker.password, "here")

    def test_secret_and_secret_file_together_are_refused(self) -> None:
        with self.assertRaisesRegex(ConfigError, r"line 3: \[broker\] password_file: password is given as well"):
            loaded("[broker]\npassword = x\npassword_file = /run/secret\n")

    def test_a_missing_secret_file_is_named_with_its_setting(self) -> None:
        with self.assertRaisesRegex(
            ConfigError, "environment variable CSMS_DATABASE_PASSWORD_FILE = /bad: cannot read this file: No such file"
        ):
            loaded(environ={"CSMS_DATABASE_PASSWORD_FILE": "/bad"})

    def test_secrets_have_no_plain_option(self) -> None:
        options = {setting.option for setting in describe()}
        self.assertIn("broker-password-file", options)
        self.assertNotIn("broker-password", options)

    def test_a_password_in_a_url_has_no_place_on_the_command_line(self) -> None:
        for name in ("broker-url", "database-url"):
            with self.assertRaisesRegex(ConfigError, f"option --{name}: every process") as raised:
                loaded(options={name: "amqp://csms:s3cret@mq/csms"})
            self.assertNotIn("s3cret", str(raised.exception))
        self.assertEqual(loaded(options={"broker-url": "amqp://csms@mq/x"}).broker.url, "amqp://csms@mq/x")
        self.assertEqual(loaded(environ={"CSMS_BROKER_URL": "amqp://u:p@mq/x"}).broker.url, "amqp://u:p@mq/x")

    def test_a_wrong_url_is_shown_without_its_password(self) -> None:
        with self.assertRaises(ConfigError) as raised:
            loaded("[broker]\nurl = amqpx://csms:s3cret@mq/csms\n")
        self.assertIn("'amqpx://...@mq/csms'", str(raised.exception))

    def test_a_wrong_network_is_named(self) -> None:
        with self.assertRaisesRegex(ConfigError, "trusted_proxies = 'proxy': must be addresses or networks like"):
            loaded("[http]\ntrusted_proxies = proxy\n")
        proxies = loaded("[gateway]\ntrusted_proxies = 10.0.0.0/8 2001:db8::1\n").gateway.trusted_proxies
        self.assertEqual(proxies, "10.0.0.0/8 2001:db8::1")

    def test_what_is_no_origin_is_named(self) -> None:
        for wrong in (
            "app.example.org",
            "https://",
            "ftp://a",
            "https://a:x",
            "https://a/b",
            "https://u@a",
            "*",
            "null",
        ):
            with self.assertRaisesRegex(ConfigError, "line 2: .http. allowed_origins = .*must be origins like"):
                loaded(f"[http]\nallowed_origins = https://good.example.org {wrong}\n")
        good = "https://a.example.org http://192.0.2.1:8080 http://[2001:db8::1]:80/ HTTPS://B.example.org"
        self.assertEqual(loaded(f"[http]\nallowed_origins = {good}\n").http.allowed_origins, good)


class WebhookTests(unittest.TestCase):
    def test_each_webhook_section_is_a_target_in_the_order_of_the_file(self) -> None:
        settings = loaded(
            "[webhook billing]\nurl = https://b.example/h\nsecret_file = /run/secret\ntypes = charging.stopped\n"
            "[webhook other]\nurl = http://o.example/\nattempts = 2\n"
        )
        self.assertEqual([webhook.name for webhook in settings.webhooks], ["billing", "other"])
        self.assertEqual(settings.webhooks[0].secret, "s3cret")
        self.assertEqual(settings.webhooks[1].attempts, 2)

    def test_a_webhook_without_url_is_refused(self) -> None:
        with self.assertRaisesRegex(ConfigError, r"\[webhook billing\] has no url"):
            loaded("[webhook billing]\nattempts = 2\n")

    def test_an_empty_webhook_section_is_refused(self) -> None:
        with self.assertRaisesRegex(ConfigError, r"line 1: \[webhook billing\] has no url"):
            loaded("[webhook billing]\n")

    def test_a_webhook_without_name_is_told_to_take_one(self) -> None:
        with self.assertRaisesRegex(ConfigError, "line 2: a webhook needs a name"):
            loaded("\n[webhook]\nurl = https://x.example\n")


class ErrorTests(unittest.TestCase):
    def refused(self, expected: str, file: str | None = None, **sources: Mapping[str, str]) -> None:
        with self.assertRaises(ConfigError) as caught:
            loaded(file, **sources)
        self.assertEqual(str(caught.exception), expected)

    def test_an_unknown_key_names_line_section_and_key(self) -> None:
        self.refused(
            "tap.conf, line 3: unknown key prot in [gateway]; did you mean port?", "# c\n[gateway]\nprot = 1\n"
        )

    def test_an_unknown_section_names_its_line(self) -> None:
        self.refused("tap.conf, line 4: unknown section [brokr]; did you mean broker?", "[gateway]\n\n\n[brokr]\n")

    def test_default_is_no_section_that_fills_all_others(self) -> None:
        self.refused("tap.conf, line 1: unknown section [DEFAULT]", "[DEFAULT]\nport = 1\n")

    def test_a_bad_value_names_line_value_and_what_is_allowed(self) -> None:
        self.refused(
            "tap.conf, line 2: [gateway] port = '90000': must be a whole number from 0 to 65535",
            "[gateway]\nport = 90000\n",
        )
        self.refused(
            "tap.conf, line 2: [gateway] unknown_chargers = 'maybe': must be one of reject, pending, accept",
            "[gateway]\nunknown_chargers = maybe\n",
        )

    def test_a_bad_value_of_an_option_names_the_option(self) -> None:
        self.refused(
            "option --gateway-require-password = 'maybe': must be yes or no",
            options={"gateway-require-password": "maybe"},
        )

    def test_a_bad_value_of_a_variable_names_the_variable(self) -> None:
        self.refused(
            "environment variable CSMS_BROKER_URL = 'http://x': "
            "must be something that begins with memory: or amqp:// or amqps://",
            environ={"CSMS_BROKER_URL": "http://x"},
        )

    def test_numbers_that_are_none_are_refused(self) -> None:
        for text in ("nan", "inf", "1e999", "", "1,5", "0x10"):
            with self.subTest(text), self.assertRaises(ConfigError):
                loaded(f"[simulator]\nspeed = {text}\n")

    def test_an_unknown_worker_is_refused(self) -> None:
        with self.assertRaisesRegex(ConfigError, "must be one or more of ocpp, charging_events"):
            loaded("[worker]\nrun = ocpp billing\n")
        with self.assertRaisesRegex(ConfigError, "must be one or more of"):
            loaded("[worker]\nrun =\n")

    def test_an_unknown_variable_is_refused(self) -> None:
        self.refused(
            "unknown environment variable CSMS_BROKER_ULR; did you mean CSMS_BROKER_URL?",
            environ={"CSMS_BROKER_ULR": "memory:"},
        )

    def test_service_links_of_kubernetes_are_no_settings(self) -> None:
        settings = loaded(
            environ={
                "CSMS_GATEWAY_PORT": "tcp://10.0.0.1:9000",
                "CSMS_GATEWAY_PORT_9000_TCP_ADDR": "10.0.0.1",
                "CSMS_GATEWAY_SERVICE_HOST": "10.0.0.1",
                "CSMS_GATEWAY_SERVICE_PORT_OCPP": "9000",
            }
        )
        self.assertEqual(settings.gateway.port, 9000)

    def test_keys_before_a_section_are_refused(self) -> None:
        self.refused("tap.conf, line 1: a [section] must come first", "port = 1\n")

    def test_a_line_that_is_neither_section_nor_key_is_named(self) -> None:
        self.refused("tap.conf, line 2: this is neither a [section] nor key = value", "[gateway]\nport\n")

    def test_what_is_there_twice_is_refused(self) -> None:
        self.refused("tap.conf, line 3: [gateway] port is there twice", "[gateway]\nport = 1\nport = 2\n")
        self.refused("tap.conf, line 3: [gateway] is there twice", "[gateway]\nport = 1\n[gateway]\n")

    def test_an_indented_key_does_not_become_part_of_the_value_above(self) -> None:
        self.refused(
            "tap.conf, line 2: [gateway] name: the next line is indented, so it would be a part of this value",
            "[gateway]\nname = a\n  port = 9001\n",
        )

    def test_no_secret_is_ever_part_of_an_error(self) -> None:
        for setting in describe():
            if setting.secret:
                with self.subTest(setting.key), self.assertRaises(ConfigError) as caught:
                    loaded(f"[{setting.section}]\n{setting.key} = hush\n  hush\n")
                self.assertNotIn("hush", str(caught.exception))


class DescriptionTests(unittest.TestCase):
    def test_names_of_options_and_variables_are_unique(self) -> None:
        settings = describe()
        for names in ([s.option for s in settings], [s.variable for s in settings if s.variable]):
            self.assertEqual(len(names), len(set(names)))

    def test_every_setting_says_what_it_means(self) -> None:
        self.assertEqual([s for s in describe() if len(s.help) < 8], [])
