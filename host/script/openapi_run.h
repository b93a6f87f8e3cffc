/* openapi_run.h - `neap openapi`: the document of the admin API, as admin/api describes it, in a
 * state of its own: nothing is configured, stored or served. */
#pragma once

struct sources;

/* Prints it; returns the exit status. */
int openapi_run(struct sources *sources);
