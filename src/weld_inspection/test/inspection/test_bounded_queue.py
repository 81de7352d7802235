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


def test_other_work_is_done_while_there_is_no_item_and_after_each_stir():
    queue, got, work = BoundedQueue(2), [], [3, 2, 1]
    done = threading.Semaphore(0)

    def meanwhile():
        got.append(work.pop())
        done.release()
        return bool(work)

    thread = threading.Thread(target=lambda: got.append(queue.get(meanwhile)))
    thread.start()
    queue.stir()
    for _ in range(3):
        assert done.acquire(timeout=10)
    work.append(4)
    queue.stir()
    assert done.acquire(timeout=10)
    queue.put("item")
    thread.join(10)
    assert got == [1, 2, 3, 4, "item"]
