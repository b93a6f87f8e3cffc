-- stopped
::again::
goto again
