from __future__ import annotations

import json
from typing import Any

from csms.api.passwords import hash_password
from csms.api.resources.registry import OPERATIONS
from csms.api.tries import PAIR_LIMIT, WINDOW_S
from csms.domain.people import Role, User
from tests.api.site_case import NOON, Answer, SiteTestCase
from tests.gateway.browser_client import connect

PASSWORD = "correct horse battery"
HASH = hash_password(PASSWORD)


class PeopleTestCase(SiteTestCase):
    async def with_user(self, name: str, role: Role = Role.VIEWER) -> None:
        user = User(name=name, role=role, password_hash=HASH, created_at=NOON)
        await self.database.transact(lambda uow: uow.people.add_user(user), name="test")

    async def try_password(self, name: str, password: str = PASSWORD, **headers: str) -> Answer:
        return await self.post_form("/sign-in", {"name": name, "password": password}, {"Origin": self.url, **headers})

    async def cookie_of(self, name: str) -> str:
        answer = await self.try_password(name)
        self.assertEqual(answer.status, 303, answer.body)
        return answer.header("Set-Cookie").partition(";")[0]

    async def signed_in_as(self, role: Role) -> str:
        await self.with_user(role.value + "-person", role)
        return await self.cookie_of(role.value + "-person")

    async def new_token(self, cookie: str, role: str, **more: Any) -> dict[str, Any]:
        body = {"name": "meter", "role": role, "expiresAt": "2026-03-02T00:00:00Z", **more}
        answer = await self.send("POST", "/api/v1/api-tokens", body, cookie)
        self.assertEqual(answer.status, 201, answer.body)
        made: dict[str, Any] = answer.json()
        return made


class PasswordTest(PeopleTestCase):
    async def test_name_and_password_let_in(self) -> None:
        await self.with_user("Ann", Role.OPERATOR)
        answer = await self.try_password("ann")
        self.assertEqual((answer.status, answer.header("Location")), (303, "/"))
        cookie = answer.header("Set-Cookie")
        for part in ("HttpOnly", "SameSite=Lax", "Path=/"):
            self.assertIn(part, cookie)
        me = (await self.ask("/api/v1/me", cookie=cookie.partition(";")[0])).json()
        self.assertEqual((me["name"], me["role"], me["kind"]), ("Ann", "operator", "session"))

    async def test_what_is_wrong_does_not_and_looks_all_the_same(self) -> None:
        await self.with_user("ann")
        answers = [
            await self.try_password(name, password)
            for name, password in (
                ("ann", "wrong"),
                ("nobody", PASSWORD),
                ("ann", ""),
                ("", PASSWORD),
                ("a\0", PASSWORD),
                ("ann", "x" * 5000),
            )
        ]
        self.assertEqual({answer.status for answer in answers}, {403})
        self.assertEqual(len({answer.body for answer in answers}), 1)
        self.assertEqual({answer.header("Set-Cookie") for answer in answers}, {""})

    async def test_after_some_wrong_passwords_one_has_to_wait(self) -> None:
        await self.with_user("ann")
        for _ in range(PAIR_LIMIT):
            self.assertEqual((await self.try_password("ann", "wrong password")).status, 403)
        answer = await self.try_password("ann")
        self.assertEqual(answer.status, 429)
        self.assertGreater(int(answer.header("Retry-After")), 0)
        await self.with_user("bob")
        self.assertEqual((await self.try_password("bob")).status, 303)
        self.wait(seconds=WINDOW_S + 1)
        self.assertEqual((await self.try_password("ann")).status, 303)

    async def test_a_foreign_page_cannot_sign_anybody_in(self) -> None:
        await self.with_user("ann")
        self.assertEqual((await self.try_password("ann", Origin="https://evil.example")).status, 403)

    async def test_another_password_ends_sign_ins_and_closes_their_browsers(self) -> None:
        await self.with_user("ann")
        cookie, admin = await self.cookie_of("ann"), await self.sign_in()
        browser = await connect(self.service.port, origin=self.url, headers={"Cookie": cookie})
        await self.send("PATCH", "/api/v1/users/ann", {"password": "another good one"}, admin)
        self.assertEqual(await browser.gone, 4401)
        self.assertEqual((await self.ask("/api/v1/me", cookie=cookie)).status, 401)
        self.assertEqual((await self.try_password("ann")).status, 403)
        self.assertEqual((await self.try_password("ann", "another good one")).status, 303)
        self.assertEqual((await self.ask("/api/v1/me", cookie=admin)).status, 200)


class UsersTest(PeopleTestCase):
    async def test_the_life_of_a_user(self) -> None:
        admin = await self.sign_in()
        body = {"name": "ann", "password": PASSWORD, "role": "viewer"}
        made = await self.send("POST", "/api/v1/users", body, admin)
        self.assertEqual((made.status, made.header("Location")), (201, "/api/v1/users/ann"))
        self.assertNotIn(b"password", made.body.lower())
        self.assertEqual((await self.send("POST", "/api/v1/users", {**body, "name": "ANN"}, admin)).status, 409)
        etag = made.header("ETag")
        changed = await self.send("PATCH", "/api/v1/users/ann", {"role": "operator"}, admin, **{"If-Match": etag})
        self.assertEqual((changed.status, changed.json()["role"]), (200, "operator"))
        late = await self.send("PATCH", "/api/v1/users/ann", {"role": "admin"}, admin, **{"If-Match": etag})
        self.assertEqual(late.status, 412)
        self.assertEqual([u["name"] for u in (await self.ask("/api/v1/users", cookie=admin)).json()["items"]], ["ann"])
        self.assertEqual((await self.send("DELETE", "/api/v1/users/ann", None, admin)).status, 204)
        self.assertEqual((await self.ask("/api/v1/users/ann", cookie=admin)).status, 404)

    async def test_who_changed_what_is_written_down_without_secrets(self) -> None:
        admin = await self.sign_in()
        body = {"name": "ann", "password": PASSWORD, "role": "viewer"}
        await self.send("POST", "/api/v1/users", body, admin)
        await self.send("PATCH", "/api/v1/users/ann", {"role": "operator"}, admin)
        await self.send("PATCH", "/api/v1/users/ann", {"role": "operator"}, admin)
        await self.new_token(admin, "viewer")
        found = (await self.ask("/api/v1/audit", cookie=admin)).json()["items"]
        self.assertEqual([one["action"] for one in found], ["createApiToken", "changeUser", "createUser", "signIn"])
        changed = found[1]
        self.assertEqual((changed["name"], changed["target"], changed["address"]), ("admin", "users/ann", "127.0.0.1"))
        self.assertEqual(changed["before"], {"role": "viewer", "version": 1})
        self.assertEqual(changed["after"], {"role": "operator", "version": 2})
        for secret in (PASSWORD, "argon2", "csms_"):
            self.assertNotIn(secret, json.dumps(found))

    async def test_bad_passwords_and_names_are_pointed_at(self) -> None:
        admin = await self.sign_in()
        good = {"name": "ann", "password": PASSWORD, "role": "viewer"}
        for wrong, pointer in (
            ({"password": "short"}, "/password"),
            ({"password": "a" * 50}, "/password"),
            ({"name": "admin"}, "/name"),
            ({"name": "a b"}, "/name"),
            ({"role": "king"}, "/role"),
            ({"more": 1}, "/more"),
        ):
            answer = await self.send("POST", "/api/v1/users", {**good, **wrong}, admin)
            self.assertEqual((answer.status, answer.json()["pointer"]), (422, pointer), wrong)


class TokensTest(PeopleTestCase):
    async def bearer(self, token: str, path: str = "/api/v1/me", **more: Any) -> Answer:
        return await self.ask(path, headers={"Authorization": f"Bearer {token}"}, **more)

    async def test_a_token_lets_a_program_in_until_it_is_removed(self) -> None:
        admin = await self.sign_in()
        made = await self.new_token(admin, "viewer")
        me = await self.bearer(made["token"])
        self.assertEqual((me.status, me.json()["role"], me.json()["kind"]), (200, "viewer", "token"))
        self.assertEqual((await self.bearer(made["token"], "/api/v1/users")).status, 403)
        listed = await self.ask("/api/v1/api-tokens", cookie=admin)
        self.assertNotIn(made["token"].encode(), listed.body)
        gone = await self.send("DELETE", f"/api/v1/api-tokens/{made['id']}", None, admin)
        self.assertEqual(gone.status, 204)
        self.assertEqual((await self.bearer(made["token"])).status, 401)

    async def test_it_ends_by_itself(self) -> None:
        made = await self.new_token(await self.sign_in(), "viewer")
        self.wait(hours=13)
        self.assertEqual((await self.bearer(made["token"])).status, 401)

    async def test_a_program_may_change_things_without_an_origin_but_no_foreign_page_may(self) -> None:
        made = await self.new_token(await self.sign_in(), "admin")
        body = {"name": "ann", "password": PASSWORD, "role": "viewer"}
        by = {"Authorization": f"Bearer {made['token']}"}
        foreign = await self.send("POST", "/api/v1/users", body, "", **by, Origin="https://evil.example")
        self.assertEqual(foreign.status, 403)
        self.assertEqual((await self.send("POST", "/api/v1/users", body, "", **by, Origin="")).status, 201)

    async def test_a_bad_token_is_not_mended_by_a_good_cookie(self) -> None:
        cookie = await self.sign_in()
        for authorization in ("Bearer csms_x", "Basic YTpi", "Bearer", "Bearer " + "x" * 5000):
            answer = await self.ask("/api/v1/me", cookie=cookie, headers={"Authorization": authorization})
            self.assertEqual(answer.status, 401, authorization)

    async def test_it_goes_with_its_user(self) -> None:
        made = await self.new_token(await self.signed_in_as(Role.ADMIN), "admin")
        self.assertEqual((await self.bearer(made["token"], "/api/v1/users")).status, 200)
        await self.send("PATCH", "/api/v1/users/admin-person", {"role": "viewer"}, await self.sign_in())
        self.assertEqual((await self.bearer(made["token"], "/api/v1/users")).status, 403)
        await self.send("DELETE", "/api/v1/users/admin-person", None, await self.sign_in())
        self.assertEqual((await self.bearer(made["token"])).status, 401)


class RightsTest(PeopleTestCase):
    async def test_every_operation_refuses_whoever_is_not_signed_in_and_every_lesser_role(self) -> None:
        cookies = {role: await self.signed_in_as(role) for role in (Role.VIEWER, Role.OPERATOR)}
        for row in OPERATIONS:
            path = row.template
            for name, is_id in row.variables.items():
                path = path.replace(f"{{{name}}}", "7" if is_id else "x")
            headers = {"Origin": self.url}
            answer = await self.ask(path, method=row.method, headers=headers)
            self.assertEqual(answer.status, 401, row.name)
            for role, cookie in cookies.items():
                if not role.includes(row.role):
                    answer = await self.ask(path, method=row.method, cookie=cookie, headers=headers)
                    self.assertEqual((answer.status, answer.json()["status"]), (403, 403), row.name)
                    self.assertIn(row.role, answer.json()["detail"])

    def test_whoever_only_looks_changes_nothing(self) -> None:
        harmless = {"signOut"}
        for row in OPERATIONS:
            if row.method != "GET" and row.name not in harmless:
                self.assertIsNot(row.role, Role.VIEWER, row.name)
