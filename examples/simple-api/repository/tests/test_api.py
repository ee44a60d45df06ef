import unittest

from simple_api import App

from .client import call


class ApiTest(unittest.TestCase):
    def setUp(self):
        self.app = App()

    def test_a_user_can_be_created_and_read_back(self):
        status, user = call(self.app, "POST", "/users", {"name": "Ada", "email": "ada@example.org"})
        self.assertEqual(status, 201)
        self.assertEqual(call(self.app, "GET", f"/users/{user['id']}"), (200, user))

    def test_an_order_can_be_placed(self):
        call(self.app, "POST", "/users", {"name": "Ada", "email": "ada@example.org"})
        status, order = call(self.app, "POST", "/orders", {"user_id": 1, "item": "tea", "quantity": 2})
        self.assertEqual((status, order["quantity"]), (201, 2))

    def test_unknown_paths_are_not_found(self):
        self.assertEqual(call(self.app, "GET", "/nothing")[0], 404)
        self.assertEqual(call(self.app, "GET", "/users/99")[0], 404)


if __name__ == "__main__":
    unittest.main()
