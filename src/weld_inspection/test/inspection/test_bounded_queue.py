import threading

from weld_inspection.inspection.bounded_queue import BoundedQueue


def test_oldest_item_makes_room():
    queue = BoundedQueue(2)
    assert [queue.put(k) for k in range(4)] == [None, None, 0, 1]
    assert [queue.get(), queue.get()] == [2, 3]


def test_close_lets_a_waiting_thread_go_and_forgets_the_rest():
    queue = BoundedQueue(2)
    got = []
    thread = threading.Thread(target=lambda: got.append(queue.get()))
    thread.start()
    queue.close()
    thread.join(10)
    assert got == [None]
    assert queue.put(7) == 7
    assert queue.get() is None
