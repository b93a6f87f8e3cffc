/* list.h - a doubly linked list whose links live in its members.
 *
 *	struct list open;
 *	list_init(&open);
 *	list_append(&open, &thing->link);
 *	for (struct list *at = open.next; at != &open; at = at->next)
 *		use(CONTAINER_OF(at, struct thing, link));
 *	list_remove(&thing->link);         // harmless when it is in no list */
#pragma once

#include <stdbool.h>

#include "base/mem.h"

struct list {
	struct list *next;
	struct list *previous;
};

static inline void list_init(struct list *list)
{
	list->next = list;
	list->previous = list;
}

static inline bool list_is_empty(const struct list *list)
{
	return list->next == list;
}

static inline void list_append(struct list *list, struct list *link)
{
	link->previous = list->previous;
	link->next = list;
	list->previous->next = link;
	list->previous = link;
}

static inline void list_remove(struct list *link)
{
	link->previous->next = link->next;
	link->next->previous = link->previous;
	list_init(link);
}
