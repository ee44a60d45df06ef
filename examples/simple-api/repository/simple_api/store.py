"""Users and orders, kept in memory."""


class Store:
    def __init__(self):
        self._users = {}
        self._orders = {}

    def add_user(self, name, email):
        user = {"id": len(self._users) + 1, "name": name, "email": email}
        self._users[user["id"]] = user
        return user

    def user(self, user_id):
        return self._users.get(user_id)

    def add_order(self, user_id, item, quantity):
        order = {"id": len(self._orders) + 1, "user_id": user_id, "item": item, "quantity": quantity}
        self._orders[order["id"]] = order
        return order
